// The smallest log in files that keeps L1 to L14, and variants that lack one of the things needed
// for that. The guide in lib.rs includes this file, so it has no inner doc comments.
//
//     log     header | frame | frame | ...       a frame: length, epoch, position, checksum | record
//     mark    the last durable position, in two slots that are written in turn
//
// The mark is made durable before a sync is acknowledged. So it proves everything acknowledged,
// even after a power cut, which tears at most the slot that was being written.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex, MutexGuard},
};

use kv_core::{Bounds, Durability, Epoch, Error, Log, LogId, LogReader, Lsn, Record, Result};
use kv_vfs::{Access, File, Lock, Vfs};

const MAGIC: &[u8; 8] = b"file-log";
const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;
const RECORD_BYTES_MAX: usize = 1 << 20;
/// A slot has a block of its own, so that one damaged block leaves the other slot.
const SLOT_BYTES: u64 = 4096;

/// The flaw of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    CutsWithoutAWord,
    DamageIsAnIoError,
    DropsWhatFollowsDamage,
    ForgetsToSyncTheDirectory,
    GivesDamagedBytes,
    LeavesWhatItCuts,
    MarksWithoutSync,
    MissingIsNew,
    NamesNoPlace,
    PanicsOverDamage,
    ReadsOnBehindDamage,
    RefusesTornTails,
    SkipsDamagedRecords,
    TrustsItsHeader,
}

/// A log in the files of a directory.
pub struct FileLog {
    state: Arc<Mutex<State>>,
    notes: Vec<String>,
    _lock: Lock,
}

struct State {
    flaw: Flaw,
    file: Arc<dyn File>,
    mark: Arc<dyn File>,
    marks: u64,
    id: LogId,
    epoch: Epoch,
    frames: Vec<Frame>,
    end: u64,
    durable: Lsn,
    failure: Option<Arc<Error>>,
    closed: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    offset: u64,
    len: usize,
    epoch: Epoch,
    lsn: Lsn,
    sum: u64,
}

impl Frame {
    fn decode(header: &[u8], offset: u64) -> Self {
        let number = |at: usize, len: usize| header[at..at + len].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let (len, epoch) = (number(0, 4) as usize, Epoch(number(4, 4)));
        Self { offset, len, epoch, lsn: Lsn(number(8, 8)), sum: number(16, 8) }
    }

    fn checksum(&self, id: LogId, payload: &[u8], flaw: Flaw) -> u64 {
        let Self { len, epoch, lsn, .. } = self;
        let id = if flaw == Flaw::TrustsItsHeader { 0 } else { id.0 };
        checksum(&[&id.to_le_bytes(), &[*len as u64, epoch.0, lsn.0].map(u64::to_le_bytes).concat(), payload])
    }

    fn is_valid(&self, id: LogId, payload: &[u8], flaw: Flaw) -> bool {
        let trusts = matches!(flaw, Flaw::GivesDamagedBytes | Flaw::ReadsOnBehindDamage);
        trusts || self.sum == self.checksum(id, payload, flaw)
    }
}

/// FNV-1a: detects each changed byte.
fn checksum(parts: &[&[u8]]) -> u64 {
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    parts.iter().flat_map(|part| *part).fold(0xcbf2_9ce4_8422_2325, fold)
}

fn io(error: kv_vfs::Error) -> Error {
    Error::from_io(error.operation, error.path, error.source)
}

impl FileLog {
    /// Opens the log in the directory, or creates it.
    pub fn open(vfs: &dyn Vfs) -> Result<Self> {
        Self::open_with(vfs, Flaw::None)
    }

    /// The same, with a flaw.
    pub fn open_with(vfs: &dyn Vfs, flaw: Flaw) -> Result<Self> {
        let lock = vfs.try_lock("lock", Access::ReadWrite).map_err(io)?;
        let lock = lock.ok_or_else(|| Error::locked(vfs.path(), vfs.lock_holder("lock")))?;
        let mark = open_mark(vfs, flaw).map_err(io)?;
        let (mut proven, marks) = read_mark(&*mark)?;
        let file = match vfs.open("log", Access::ReadWrite) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if flaw == Flaw::MissingIsNew {
                    proven = Lsn::START;
                }
                if proven > Lsn::START {
                    return Err(Error::corrupt_whole(
                        error.path,
                        format!("it is missing; it had positions up to {proven}"),
                    ));
                }
                create(vfs, flaw).map_err(io)?
            }
            opened => opened.map_err(io)?,
        };
        // Drops what a failed sync has left in memory only.
        file.sync_data().and_then(|()| file.drop_cache()).map_err(io)?;
        let id = read_header(&*file, flaw)?;
        let (frames, end) = scan(&*file, id, flaw)?;
        let last = frames.last().map_or(Lsn::START, |last| last.lsn);
        let torn_bytes = file.len().map_err(io)?.saturating_sub(end);
        let is_damaged = last < proven && flaw != Flaw::DropsWhatFollowsDamage;
        if is_damaged || torn_bytes > 0 && flaw == Flaw::RefusesTornTails {
            let detail = format!("lost from position {} on, of {proven} that were durable", last.next());
            return Err(damage(&*file, end, detail, flaw));
        }
        let mut notes = Vec::new();
        if torn_bytes > 0 {
            if flaw != Flaw::LeavesWhatItCuts {
                file.set_len(end).and_then(|()| file.sync_data()).map_err(io)?;
            }
            if flaw != Flaw::CutsWithoutAWord {
                notes.push(format!("cut a torn tail of {torn_bytes} bytes"));
            }
        }
        let epoch = Epoch(frames.last().map_or(0, |last| last.epoch.0) + 1);
        let (failure, closed, durable) = (None, false, Lsn::START);
        let mut state = State { flaw, file, mark, marks, id, epoch, frames, end, durable, failure, closed };
        state.acknowledge(last).map_err(io)?;
        Ok(Self { state: Arc::new(Mutex::new(state)), notes, _lock: lock })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn damage(file: &dyn File, offset: u64, detail: String, flaw: Flaw) -> Error {
    match flaw {
        Flaw::DamageIsAnIoError => Error::from_io("read", file.path(), ErrorKind::InvalidData.into()),
        Flaw::NamesNoPlace => Error::corrupt_whole("", detail),
        Flaw::PanicsOverDamage => panic!("damage"),
        _ => Error::corrupt(file.path(), offset, detail),
    }
}

/// Both slots get their space at the beginning, so that a full disk can still be synced.
fn open_mark(vfs: &dyn Vfs, flaw: Flaw) -> kv_vfs::Result<Arc<dyn File>> {
    let mark = match vfs.open("mark", Access::ReadWrite) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mark = vfs.create("mark")?;
            sync_directory(vfs, flaw)?;
            mark
        }
        opened => opened?,
    };
    let len = mark.len()?;
    mark.write_zeroes(len, (2 * SLOT_BYTES).saturating_sub(len))?;
    Ok(mark)
}

/// A log gets its name once it is complete.
fn create(vfs: &dyn Vfs, flaw: Flaw) -> kv_vfs::Result<Arc<dyn File>> {
    match vfs.remove("log.new") {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {} // a crash may have left one
    }
    let file = vfs.create("log.new")?;
    let id = vfs.random()?.to_le_bytes();
    file.write_all_at(&[&MAGIC[..], &id, &checksum(&[&id]).to_le_bytes()].concat(), 0)?;
    file.sync_data()?;
    vfs.rename("log.new", "log")?;
    sync_directory(vfs, flaw)?;
    vfs.open("log", Access::ReadWrite)
}

fn sync_directory(vfs: &dyn Vfs, flaw: Flaw) -> kv_vfs::Result<()> {
    if flaw == Flaw::ForgetsToSyncTheDirectory { Ok(()) } else { vfs.sync_directory() }
}

fn read_header(file: &dyn File, flaw: Flaw) -> Result<LogId> {
    let mut header = [0; HEADER_BYTES];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(io(error)),
        _ => {} // zeroes are no header
    }
    let mut id = [0; 16];
    id.copy_from_slice(&header[8..24]);
    let is_valid = header[..8] == MAGIC[..] && header[24..] == checksum(&[&id]).to_le_bytes();
    if is_valid || flaw == Flaw::TrustsItsHeader {
        Ok(LogId(u128::from_le_bytes(id)))
    } else {
        Err(damage(file, 0, "the header is damaged".to_owned(), flaw))
    }
}

/// The frames up to the first one that is bad or missing, and the offset at which they end.
fn scan(file: &dyn File, id: LogId, flaw: Flaw) -> Result<(Vec<Frame>, u64)> {
    let mut bytes = vec![0; usize::try_from(file.len().map_err(io)?).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0).map_err(io)?;
    let (mut frames, mut end) = (Vec::new(), HEADER_BYTES);
    while let Some(header) = bytes.get(end..end + FRAME_BYTES) {
        let frame = Frame::decode(header, end as u64);
        let Some(payload) = bytes[end + FRAME_BYTES..].get(..frame.len) else { break };
        let is_good = frame.lsn.0 == frames.len() as u64 + 1 && frame.is_valid(id, payload, flaw);
        if !is_good && flaw != Flaw::SkipsDamagedRecords || frame.lsn == Lsn::START {
            break;
        }
        if frame.is_valid(id, payload, flaw) {
            frames.push(frame);
        }
        end += FRAME_BYTES + frame.len;
    }
    Ok((frames, end as u64))
}

/// The last position that a slot of the mark states, and the number of marks written so far.
fn read_mark(mark: &dyn File) -> Result<(Lsn, u64)> {
    let mut newest = (Lsn::START, 0);
    for slot in 0..2 {
        let mut bytes = [0; 24];
        match mark.read_exact_at(&mut bytes, slot * SLOT_BYTES) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
            read => read.map_err(io)?,
        }
        let number = |at: usize| bytes[at..at + 8].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let (durable, marks, sum) = (Lsn(number(0)), number(8), number(16));
        if sum == checksum(&[&bytes[..16]]) && marks > newest.1 {
            newest = (durable, marks);
        }
    }
    Ok(newest)
}

impl State {
    fn appended(&self) -> Lsn {
        Lsn(self.frames.len() as u64)
    }

    fn append(&mut self, record: &[u8]) -> Result<Lsn> {
        if let Some(cause) = &self.failure {
            return Err(Error::Poisoned { cause: Arc::clone(cause) });
        }
        if self.closed {
            return Err(Error::Closed);
        }
        if record.len() > RECORD_BYTES_MAX {
            return Err(Error::BatchTooLarge { bytes: record.len(), max: RECORD_BYTES_MAX });
        }
        let (offset, len, epoch, lsn) = (self.end, record.len(), self.epoch, self.appended().next());
        let mut frame = Frame { offset, len, epoch, lsn, sum: 0 };
        frame.sum = frame.checksum(self.id, record, self.flaw);
        let numbers = [(len as u64, 4), (epoch.0, 4), (lsn.0, 8), (frame.sum, 8)];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|(n, len)| n.to_le_bytes().into_iter().take(*len)).collect();
        bytes.extend_from_slice(record);
        match self.file.write_all_at(&bytes, offset).map_err(io) {
            // The next record overwrites the partial frame.
            Err(full @ Error::DiskFull { .. }) => return Err(full),
            Err(error) => return Err(self.fail(error)),
            Ok(()) => {}
        }
        self.end = offset + bytes.len() as u64;
        self.frames.push(frame);
        Ok(lsn)
    }

    fn fail(&mut self, error: Error) -> Error {
        let cause = Arc::clone(self.failure.get_or_insert(Arc::new(error)));
        Error::OutcomeUnknown { cause }
    }

    fn sync(&mut self, upto: Lsn) -> Result<Lsn> {
        self.check_appended(upto)?;
        if upto > self.durable {
            if let Some(cause) = &self.failure {
                return Err(Error::OutcomeUnknown { cause: Arc::clone(cause) });
            }
            let all = self.appended();
            if let Err(error) = self.file.sync_data().and_then(|()| self.acknowledge(all)) {
                return Err(self.fail(io(error)));
            }
        }
        Ok(self.durable)
    }

    /// Writes a mark that says that the log is durable up to there.
    fn acknowledge(&mut self, durable: Lsn) -> kv_vfs::Result<()> {
        self.marks += 1;
        let mut mark = [durable.0, self.marks].map(u64::to_le_bytes).concat();
        mark.extend(checksum(&[&mark]).to_le_bytes());
        self.mark.write_all_at(&mark, self.marks % 2 * SLOT_BYTES)?;
        if self.flaw != Flaw::MarksWithoutSync {
            self.mark.sync_data()?;
        }
        self.durable = durable;
        Ok(())
    }

    fn check_appended(&self, position: Lsn) -> Result<()> {
        let appended = self.appended();
        if position > appended { Err(Error::never_appended(position, appended)) } else { Ok(()) }
    }
}

impl Log for FileLog {
    fn id(&self) -> LogId {
        self.state().id
    }

    fn append(&self, record: &[u8], _durability: Durability) -> Result<Lsn> {
        self.state().append(record)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.state().sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.state().check_appended(after)?;
        Ok(Box::new(Reader { state: Arc::clone(&self.state), after, payload: Vec::new() }))
    }

    /// Trims nothing.
    fn trim(&self, upto: Lsn) -> Result<()> {
        self.state().check_appended(upto)
    }

    fn bounds(&self) -> Bounds {
        let state = self.state();
        let (durable, appended, epoch) = (state.durable, state.appended(), state.epoch);
        let (trimmed, record_bytes_max) = (Lsn::START, RECORD_BYTES_MAX);
        Bounds { trimmed, durable, written: appended, appended, epoch, record_bytes_max }
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        let state = self.state();
        state.frames.get(after.0 as usize).map_or(0, |first| state.end - first.offset)
    }

    fn opening_notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn close(&self) -> Result<()> {
        let mut state = self.state();
        let all = state.appended();
        state.sync(all)?;
        state.closed = true;
        Ok(())
    }
}

struct Reader {
    state: Arc<Mutex<State>>,
    after: Lsn,
    payload: Vec<u8>,
}

impl LogReader for Reader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let state = self.state.lock().unwrap();
        if self.after >= state.durable {
            return Ok(None);
        }
        let Some(frame) = state.frames.get(self.after.0 as usize) else { return Ok(None) };
        self.payload.resize(frame.len, 0);
        state.file.read_exact_at(&mut self.payload, frame.offset + FRAME_BYTES as u64).map_err(io)?;
        let is_damaged = frame.sum != frame.checksum(state.id, &self.payload, state.flaw);
        if !is_damaged || matches!(state.flaw, Flaw::GivesDamagedBytes | Flaw::ReadsOnBehindDamage) {
            self.after = self.after.next();
        }
        if is_damaged && state.flaw != Flaw::GivesDamagedBytes {
            return Err(damage(&*state.file, frame.offset, format!("record {} is damaged", frame.lsn), state.flaw));
        }
        Ok(Some(Record { epoch: frame.epoch, lsn: frame.lsn, payload: &self.payload }))
    }
}
