//! Opens, reads and creates the files of segments.

use std::{io, sync::Arc};

use kv_core::{Error, Result};
use kv_vfs::{Access, File, Vfs, preamble::PreambleError};

use crate::{
    error,
    filling::fill_with_zeroes,
    format::{
        names,
        segment::{HEADER_BYTES, Header},
        zeroes::is_zero,
    },
};

/// How many bytes are read at once to check that a range is unused.
const CHUNK_BYTES: usize = 256 << 10;

/// The file of a segment, with its header.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) file: Arc<dyn File>,
    /// How this opening has given it its space; `None` if an earlier one has made it.
    pub(crate) allocation: Option<Allocation>,
}

/// How a new segment gets its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// Zeroes are written. Later writes then change nothing but the bytes that they write.
    Zeroed,
    /// It is reserved, and nothing is written: long records would take as much of the disk's time
    /// for zeroes as for themselves.
    Reserved,
}

impl Segment {
    /// Whether this opening has filled it with zeroes, block by block. Then its blocks are pages in
    /// memory of their own, and have space on the disk even if the store is a sparse copy.
    pub(crate) fn is_filled(&self) -> bool {
        self.allocation == Some(Allocation::Zeroed)
    }

    /// The size of a block in bytes.
    pub(crate) fn block(&self) -> u64 {
        u64::from(self.header.block_bytes)
    }

    /// Whether the `bytes` bytes from offset `from` on, or as many as the file has, are all zero.
    pub(crate) fn is_unused(&self, from: u64, bytes: u64) -> Result<bool> {
        let end = from.saturating_add(bytes);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = from;
        while at < end {
            let wanted = (end - at).min(CHUNK_BYTES as u64) as usize;
            let len = read_up_to(&*self.file, &mut chunk[..wanted], at)?;
            if !is_zero(&chunk[..len]) {
                return Ok(false);
            }
            if len < wanted {
                break;
            }
            at += len as u64;
        }
        Ok(true)
    }

    /// Whether the log may write to this segment, on a disk with blocks of `disk_block` bytes. The
    /// file must have its full length, without holes, and be overwritten in place, so that a write
    /// needs no new space. (A copy of a store may have holes where nothing was written yet.) Its
    /// blocks must be at least as large as the disk's, so that a flush ends at a boundary of the
    /// disk's blocks.
    pub(crate) fn is_writable(&self, disk_block: u64) -> Result<bool> {
        let len = self.file.len()?;
        let has_space = len >= self.header.length && !self.file.has_holes()?;
        Ok(has_space && self.block() >= disk_block && self.file.is_overwritten_in_place())
    }

    /// Whether the log can continue in this segment behind a seal that ends at `end`: there must be
    /// room for the epoch frame, a record and the next seal. If not, it continues in the next
    /// segment.
    pub(crate) fn can_continue_after_seal(&self, end: u64, disk_block: u64) -> Result<bool> {
        Ok(end + 3 * self.block() <= self.header.length && self.is_writable(disk_block)?)
    }
}

/// Reads until the buffer is full or the file ends. Returns how many bytes it read.
pub(crate) fn read_up_to(file: &dyn File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], offset + len as u64)? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

/// Opens the segment with that number. Its header must be valid and have the same number.
pub(crate) fn open(vfs: &dyn Vfs, number: u64, access: Access) -> Result<Segment> {
    let name = names::segment(number);
    let file = vfs.open(&name, access)?;
    let mut bytes = vec![0; HEADER_BYTES];
    let len = read_up_to(&*file, &mut bytes, 0)?;
    match Header::decode(&bytes[..len]) {
        Ok(header) if header.number == number => Ok(Segment { header, file, allocation: None }),
        Ok(header) => {
            let detail = format!("the header is that of segment {}: the file has the wrong name", header.number);
            Err(Error::corrupt_whole(error::path(vfs, &name), detail))
        }
        Err(PreambleError::Damaged { offset, detail }) => Err(Error::corrupt(
            error::path(vfs, &name),
            offset,
            format!("{detail}: every record in this segment is lost"),
        )),
        Err(other_version) => Err(error::preamble(error::path(vfs, &name), other_version)),
    }
}

/// Why a new segment could not be created.
pub(crate) enum CreateError {
    /// The segment could not be prepared. Nothing has changed, and the log goes on without it.
    Refused(Error),
    /// The log must write nothing more. Either the directory could not be synced, so that it is
    /// unknown which names survive a power cut; or the directory is no longer the log's own; or the
    /// file layer panicked.
    Final(Error),
}

impl CreateError {
    /// The error itself.
    pub(crate) fn into_inner(self) -> Error {
        match self {
            Self::Refused(error) | Self::Final(error) => error,
        }
    }
}

/// Creates the segment that `header` describes. It gives the file its full size under a temporary
/// name, all zeroes, syncs the file, renames it (over an unused spare of that number, if there is
/// one), and syncs the directory. The segment must not be used before this has returned.
///
/// `used` gives which part of the segment before is used, from 0 to 1. It sets the pace.
pub(crate) fn create(
    vfs: &dyn Vfs,
    header: &Header,
    allocation: Allocation,
    used: &dyn Fn() -> f64,
) -> Result<Segment, CreateError> {
    let name = names::segment(header.number);
    let filled = fill(vfs, header, allocation, used);
    let file = match filled.and_then(|file| vfs.rename(names::TEMPORARY, &name).map(|()| file)) {
        Ok(file) => file,
        Err(error) => {
            let _ = vfs.remove(names::TEMPORARY); // frees the space; the next attempt tries again
            return Err(CreateError::Refused(error.into()));
        }
    };
    // Opens the same file under its final name, which error messages will show. If that fails, use
    // the old handle: after the rename the segment exists, and it is too late to refuse.
    let file = vfs.open(&name, Access::ReadWrite).unwrap_or(file);
    vfs.sync_directory().map_err(|error| CreateError::Final(error.into()))?;
    Ok(Segment { header: *header, file, allocation: Some(allocation) })
}

fn fill(
    vfs: &dyn Vfs,
    header: &Header,
    allocation: Allocation,
    used: &dyn Fn() -> f64,
) -> kv_vfs::Result<Arc<dyn File>> {
    let file = match vfs.create(names::TEMPORARY) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            vfs.remove(names::TEMPORARY)?; // left by a killed process
            vfs.create(names::TEMPORARY)?
        }
        created => created?,
    };
    let (at, len) = (HEADER_BYTES as u64, header.length - HEADER_BYTES as u64);
    let filled = file
        .write_all_at(&header.encode(), 0)
        .and_then(|()| match allocation {
            Allocation::Zeroed => fill_with_zeroes(&*file, at, len, used),
            Allocation::Reserved => file.reserve(at, len),
        })
        .and_then(|()| file.sync_data());
    if filled.is_err() {
        let _ = file.set_len(0); // frees the space even if a handle stays open after the removal
    }
    filled.map(|()| file)
}
