//! The flush that fails once and then "succeeds": an ext4 in an image whose blocks the memory file system below can no longer give.
//!
//! The blocks of a file's zeroes are taken out of the image, and the rest of the memory file system is used up. A write to such a block then
//! stays in the page cache, its write-back fails, and the kernel marks the page clean: it is read, and it is nowhere else.

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
    mounts::{self, Ext4, Mounted},
    plan::{self, Step},
    tools, writer,
};

const IMAGE_BYTES: u64 = 40 << 20;
const MEMORY_BYTES: u64 = 44 << 20;
const BLOCK_BYTES: usize = 4096;
const THREADS: u32 = 4;

/// A disk that runs out of blocks that the file system on it believes to have. The file system goes first.
struct Disk {
    ext4: Ext4,
    memory: Mounted,
    _home: TempDir,
}

impl Disk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let memory = mounts::tmpfs(&home, "memory", MEMORY_BYTES).unwrap();
        Self { ext4: Ext4::new(memory.path(), IMAGE_BYTES).unwrap(), memory, _home: home }
    }

    /// Takes the blocks of zeroes of these files out of the image, and all other space too.
    fn take_away(&self, paths: &[PathBuf]) {
        let image = self.ext4.image.to_str().unwrap();
        // The file system's own blocks stay: it is not to fail.
        mounts::command("fallocate", &["-l", &IMAGE_BYTES.to_string(), image]).unwrap();
        let bytes = fs::read(&self.ext4.image).unwrap();
        for path in paths {
            let extents = mounts::command("filefrag", &["-v", "-b4096", path.to_str().unwrap()]).unwrap();
            for zeroes in extents.lines().filter_map(extent).flat_map(|extent| zeroes(&bytes, extent)) {
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

/// Where an extent lies on the disk, in bytes, by a line such as `0: 0.. 255: 34304.. 34559: 256: eof`, in blocks.
fn extent(line: &str) -> Option<Range<usize>> {
    let fields: Vec<&str> = line.split(':').map(str::trim).collect();
    fields.first()?.parse::<u32>().ok()?;
    let start: usize = fields.get(2)?.split("..").next()?.trim().parse().ok()?;
    let blocks: usize = fields.get(3)?.parse().ok()?;
    Some(start * BLOCK_BYTES..(start + blocks) * BLOCK_BYTES)
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

/// Whether the trap is there: the first flush fails, the second does not, and the bytes are read until the cache is gone.
fn is_trap() -> Result<(), String> {
    let mut disk = Disk::new();
    let path = disk.ext4.path().join("control");
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
    disk.ext4.mount_again();
    let kept = fs::read(&path).unwrap()[8192] == 7;
    let second = if second.is_ok() { "the second succeeded" } else { "the second failed too" };
    tools::say(&format!("fsyncgate here: {first}; {second}; read from the cache: {cached}; on the disk: {kept}"));
    if kept { Err("the write is on the disk though its flush failed".into()) } else { Ok(()) }
}

/// Whether flushes can be made to fail here. If not, says so.
fn can_fail(tested: &str) -> bool {
    if !mounts::work(tested) || !tools::has("filefrag", tested) || !tools::has("fallocate", tested) {
        return false;
    }
    is_trap().map_err(|why| tools::not_tested(tested, &why)).is_ok()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).collect()
}

/// The step of every thread at once, so that they share a flush. What became of each.
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

/// Writes whose flush fails: none is acknowledged, then or later, none is read, and what is published is read on. How many have no outcome.
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
    assert!(unknown > 0, "whose flush failed is told that it has no outcome");
    for (_, outcome) in steps(store, number + 1) {
        assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{outcome:?}");
    }
    assert!(store.checkpoint().is_err() || plan::content(store).unwrap() == before);
    assert_eq!(plan::content(store).unwrap(), before, "reads go on, of what was published");
    unknown
}

#[test]
fn a_flush_that_failed_is_final_and_what_it_took_is_at_most_lost() {
    if !can_fail("a flush that fails on a real disk") {
        return;
    }
    let mut disk = Disk::new();
    let dir = disk.ext4.path().join("store");
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
        // Opened while the disk is as it is, and again when it is well.
        ledger.settle(&kv_store::open(&dir).unwrap(), &("reopened", round));
        disk.give_back();
        let store = kv_store::open(&dir).unwrap();
        ledger.settle(&store, &("reopened with space", round));
        acknowledged(&store, first + 50, &mut ledger);
        drop(store);
        disk.ext4.mount_again();
        ledger.prove(&dir, &("mounted again", round));
    }
    tools::say(&format!(
        "fsyncgate: 4 rounds, {} writes acknowledged and all there, {lost} without an outcome and none half or wrong",
        ledger.acknowledged
    ));
}
