//! A flush that fails once and then "succeeds". The file system is in an image, for whose blocks
//! the memory file system below has no more space.
//!
//! The blocks of a file's zeroes are punched out of the image, and the rest of the memory file
//! system is used up. A write to such a block then stays in the page cache, its write-back fails,
//! and the kernel marks the page clean: reads still find the bytes, but they are nowhere else.

use std::{
    fs::{self, File},
    io::Write as _,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
};

use kv_store::{Error, Store};
use tempfile::TempDir;

use crate::{
    ledger::Ledger,
    mounts::{self, Image, Kind, Mounted},
    plan::{self, Step},
    tools, writer,
};

/// The space of the memory file system beside the image, in bytes.
const SPARE_BYTES: u64 = 4 << 20;
const BLOCK_BYTES: usize = 4096;
const THREADS: u32 = 4;

/// A disk that lacks blocks which the file system on it believes to have. The fields are dropped in
/// their order: first the file system.
struct Disk {
    image: Image,
    memory: Mounted,
    _home: TempDir,
}

impl Disk {
    fn new(kind: Kind) -> Self {
        let home = tempfile::tempdir().unwrap();
        let memory = mounts::tmpfs(&home, "memory", kind.small() + SPARE_BYTES).unwrap();
        Self { image: Image::new(kind, memory.path(), kind.small()).unwrap(), memory, _home: home }
    }

    /// Takes the blocks of zeroes of these files out of the image, and all other space, too.
    fn take_away(&self, paths: &[PathBuf]) {
        let image = self.image.image.to_str().unwrap();
        // The file system's own blocks stay: it must not fail.
        mounts::command("fallocate", &["-l", &self.image.kind.small().to_string(), image]).unwrap();
        let bytes = fs::read(&self.image.image).unwrap();
        let chunks = if self.image.kind == Kind::Btrfs { chunks(image) } else { vec![Chunk::EVERYTHING] };
        for path in paths {
            let extents = mounts::command("filefrag", &["-v", "-b4096", path.to_str().unwrap()]).unwrap();
            let extents = extents.lines().filter_map(extent).map(|extent| on_the_disk(&chunks, extent));
            for zeroes in extents.flat_map(|extent| zeroes(&bytes, extent)) {
                let (offset, length) = (zeroes.start.to_string(), (zeroes.end - zeroes.start).to_string());
                mounts::command("fallocate", &["--punch-hole", "-o", &offset, "-l", &length, image]).unwrap();
            }
        }
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[1; BLOCK_BYTES]).is_ok() {}
    }

    fn give_back(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.memory.path().join("ballast")
    }
}

/// Where an extent is on the disk, in bytes, from a line such as
/// `0: 0.. 255: 34304.. 34559: 256: eof`, in blocks.
fn extent(line: &str) -> Option<Range<usize>> {
    let fields: Vec<&str> = line.split(':').map(str::trim).collect();
    fields.first()?.parse::<u32>().ok()?;
    let start: usize = fields.get(2)?.split("..").next()?.trim().parse().ok()?;
    let blocks: usize = fields.get(3)?.parse().ok()?;
    Some(start * BLOCK_BYTES..(start + blocks) * BLOCK_BYTES)
}

/// A range of the addresses that btrfs gives its blocks, and where it is on the disk, in bytes.
struct Chunk {
    address: usize,
    length: usize,
    at: usize,
}

impl Chunk {
    /// For file systems whose addresses are places on the disk.
    const EVERYTHING: Self = Self { address: 0, length: usize::MAX, at: 0 };
}

/// The chunks of a btrfs, from lines such as `item 3 key (FIRST_CHUNK_TREE CHUNK_ITEM 13631488) …`,
/// `length 8388608 owner …` and `stripe 0 devid 1 offset 13631488`.
fn chunks(image: &str) -> Vec<Chunk> {
    let tree = mounts::command("btrfs", &["inspect-internal", "dump-tree", "-t", "chunk", image]).unwrap();
    let (mut address, mut length, mut chunks) = (0, 0, Vec::new());
    for line in tree.lines() {
        let behind = |words: &str| line.split_once(words)?.1.split([' ', ')']).next()?.parse().ok();
        address = behind("CHUNK_ITEM ").unwrap_or(address);
        length = behind("\tlength ").unwrap_or(length);
        if let Some(at) = behind("stripe 0 devid 1 offset ") {
            chunks.push(Chunk { address, length, at });
        }
    }
    chunks
}

fn on_the_disk(chunks: &[Chunk], extent: Range<usize>) -> Range<usize> {
    let contains = |chunk: &&Chunk| (0..chunk.length).contains(&extent.start.wrapping_sub(chunk.address));
    let chunk = chunks.iter().find(contains).unwrap();
    extent.start - chunk.address + chunk.at..extent.end - chunk.address + chunk.at
}

/// The runs of blocks of zeroes within an extent, in bytes.
fn zeroes(image: &[u8], extent: Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in extent.step_by(BLOCK_BYTES) {
        let is_zero = image[at..at + BLOCK_BYTES].iter().all(|byte| *byte == 0);
        match runs.last_mut() {
            Some(run) if is_zero && run.end == at => run.end += BLOCK_BYTES,
            _ if is_zero => runs.push(at..at + BLOCK_BYTES),
            _ => {}
        }
    }
    runs
}

/// Whether the kernel behaves so: the first flush fails, the second does not, and reads find the
/// bytes as long as they are cached.
fn loses_a_write(kind: Kind) -> Result<(), String> {
    let mut disk = Disk::new(kind);
    if kind == Kind::Btrfs {
        // The file is overwritten in place, as the log's files are.
        mounts::command("chattr", &["+C", disk.image.path().to_str().unwrap()]).unwrap();
    }
    let path = disk.image.path().join("control");
    fs::write(&path, [0; 64 << 10]).and_then(|()| File::open(&path)?.sync_all()).unwrap();
    disk.take_away(std::slice::from_ref(&path));
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[7; BLOCK_BYTES], 8192).unwrap();
    let Err(first) = file.sync_data() else { return Err("a flush succeeds though there are no blocks".into()) };
    let second = file.sync_data();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 8192).unwrap();
    let cached = byte[0] == 7;
    drop(file);
    disk.give_back();
    disk.image.mount_again();
    let kept = fs::read(&path).unwrap()[8192] == 7;
    let second = if second.is_ok() { "the second succeeded" } else { "the second failed too" };
    let name = kind.name();
    tools::say(&format!("fsyncgate on {name}: {first}; {second}; read from the cache: {cached}; on the disk: {kept}"));
    if kept { Err("the write is on the disk though its flush failed".into()) } else { Ok(()) }
}

/// Whether flushes can be made to fail here. If not, reports it.
fn can_fail(kind: Kind) -> bool {
    let tested = format!("a flush that fails on {}", kind.name());
    if !["filefrag", "fallocate", "chattr"].iter().all(|tool| tools::has(tool, &tested)) {
        return false;
    }
    loses_a_write(kind).map_err(|why| tools::not_tested(&tested, &why)).is_ok()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).collect()
}

/// Makes a step of every thread at the same time, so that they share a flush. Returns their
/// outcomes.
fn steps(store: &Store, number: u64) -> Vec<(Step, kv_store::Result<()>)> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..THREADS)
            .map(|thread| Step { thread, number })
            .map(|step| scope.spawn(move || (step, writer::put(store, step))))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn acknowledged(store: &Store, number: u64, ledger: &mut Ledger) {
    for (step, outcome) in steps(store, number) {
        outcome.unwrap_or_else(|error| panic!("{step:?}: {}", error.chain()));
        ledger.acknowledge(step);
    }
}

/// Makes writes whose flush fails: none is acknowledged, then or later, none is read, and what was
/// published can still be read. Returns how many have an unknown outcome.
fn fail(store: &Store, number: u64, ledger: &mut Ledger) -> usize {
    let mut unknown = 0;
    let before = plan::content(store).unwrap();
    for (step, outcome) in steps(store, number) {
        match outcome {
            Err(Error::OutcomeUnknown { .. }) => {
                ledger.doubt(step);
                unknown += 1;
            }
            Err(Error::Poisoned { .. }) => {}
            other => panic!("a flush without blocks: {other:?}"),
        }
    }
    assert!(unknown > 0, "a write whose flush failed has an unknown outcome");
    for (_, outcome) in steps(store, number + 1) {
        assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{outcome:?}");
    }
    assert!(store.checkpoint().is_err() || plan::content(store).unwrap() == before);
    assert_eq!(plan::content(store).unwrap(), before, "what was published can still be read");
    unknown
}

mounts::on_each!(
    a_flush_that_failed_is_final_and_what_it_took_is_at_most_lost,
    "a flush that fails on a real disk",
    have_flushes_fail
);

fn have_flushes_fail(kind: Kind) {
    if !can_fail(kind) {
        return;
    }
    let mut disk = Disk::new(kind);
    let dir = disk.image.path().join("store");
    let mut ledger = Ledger::default();
    let mut lost = 0;
    for round in 0..4_u64 {
        let first = round * 100;
        let store = kv_store::open(&dir).unwrap();
        for number in first..first + 5 {
            acknowledged(&store, number, &mut ledger);
        }
        if round % 2 == 1 {
            store.checkpoint().unwrap();
        }
        ledger.settle(&store, &("before", round));
        disk.take_away(&segments(&dir));
        lost += fail(&store, first + 5, &mut ledger);
        assert!(store.close().is_err(), "closed as if nothing had happened");
        drop(store);
        // Opened while the disk is full, and again when it has space.
        ledger.settle(&kv_store::open(&dir).unwrap(), &("reopened", round));
        disk.give_back();
        let store = kv_store::open(&dir).unwrap();
        ledger.settle(&store, &("reopened with space", round));
        acknowledged(&store, first + 50, &mut ledger);
        drop(store);
        disk.image.mount_again();
        ledger.prove(&dir, &("mounted again", round));
    }
    tools::say(&format!(
        "fsyncgate on {}: 4 rounds, {} writes acknowledged and all there, {lost} with an unknown outcome, none of them half there or wrong",
        kind.name(),
        ledger.acknowledged
    ));
}
