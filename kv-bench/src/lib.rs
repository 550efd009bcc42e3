//! Benchmarks of kv, and a [harness] that measures any engine, log or checkpointer.
//!
//! The benchmarks are in `benches/kv`, and `cargo xtask bench` runs them. Gets from mapped parts
//! are measured by the example `part_gets`, beside a table in memory in the same run. This module
//! has what they share: keys, values, stores of a known size, and threads that start together. Keys
//! and values are derived from indexes, so that every run does the same. An entry is a key of 16
//! bytes and a value of 100 bytes. The environment variable `KV_BENCH_ENTRIES` sets the number of
//! entries in the larger stores (1,000,000 by default).

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]

pub mod harness;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use kv_store::{Batch, Durability, Options, Store};
use tempfile::TempDir;

/// The collection that every benchmark uses.
pub const COLLECTION: &str = "bench";
/// The number of entries in a batch when many are loaded.
pub const BATCH_ENTRIES: u64 = 1000;
/// The length of every value, in bytes.
pub const VALUE_BYTES: usize = 100;

/// The number of entries in the larger stores.
pub fn entries() -> u64 {
    env::var("KV_BENCH_ENTRIES").map_or(1_000_000, |entries| entries.parse().unwrap())
}

/// The key of an index. The keys of neighbouring indexes are far apart.
pub fn key(index: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(index).to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The value of an index.
pub fn value(index: u64) -> [u8; VALUE_BYTES] {
    let word = mixed(!index).to_le_bytes();
    let mut value = [0; VALUE_BYTES];
    for chunk in value.chunks_mut(word.len()) {
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    value
}

/// A pseudo-random number, the same for the same index (SplitMix64).
pub fn mixed(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An empty directory in `parent`, which is removed when the value is dropped. `parent` should be
/// on a disk, because a file system in memory has no flushes to measure. Benchmarks pass
/// `env!("CARGO_TARGET_TMPDIR")`.
pub fn scratch(parent: impl AsRef<Path>) -> TempDir {
    tempfile::Builder::new().prefix("kv-bench-").tempdir_in(parent).unwrap()
}

/// Options of a store that makes checkpoints only on request, and acknowledges writes that survive
/// a killed process.
pub fn without_checkpoints() -> Options {
    let mut options = Options::default().durability(Durability::Process);
    options.store.checkpoint_record_bytes = u64::MAX;
    options.store.checkpoint_medium_bytes = u64::MAX;
    options.store.close_checkpoint_record_bytes = u64::MAX;
    options
}

/// Puts the entries of all indexes below `end`, in batches.
pub fn load(store: &Store, end: u64) {
    let mut batch = Batch::new();
    for start in (0..end).step_by(BATCH_ENTRIES as usize) {
        fill(&mut batch, start..end.min(start + BATCH_ENTRIES));
        store.write(&batch).unwrap();
    }
}

/// Clears `batch` and fills it with puts of the entries of these indexes.
pub fn fill(batch: &mut Batch, indexes: impl Iterator<Item = u64>) {
    batch.clear();
    for index in indexes {
        batch.put(COLLECTION, key(index), value(index));
    }
}

/// Calls `operation` in `threads` threads, with the number of the thread and with each round below
/// `rounds`. Returns the time from the moment when all threads are ready to the moment when all are
/// done.
pub fn together(threads: u64, rounds: u64, operation: impl Fn(u64, u64) + Sync) -> Duration {
    let (ready, operation) = (&Barrier::new(threads as usize + 1), &operation);
    let start = thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                ready.wait();
                (0..rounds).for_each(|round| operation(thread, round));
            });
        }
        ready.wait();
        Instant::now()
    });
    start.elapsed()
}

/// Copies the directory of an open store as a killed process would leave it. No thread may write to
/// the store meanwhile.
///
/// Checkpoints are hard-linked instead of copied, because their files never change. Both
/// directories must be on one file system.
pub fn killed_image(store: &Path, image: &Path) {
    fs::create_dir(image).unwrap();
    for entry in fs::read_dir(store).unwrap() {
        let (from, to) = paths(&entry.unwrap(), image);
        match from.is_dir() {
            false => copy(&from, &to, copy_and_sync),
            true if from.ends_with("checkpoints") => copy_files(&from, &to, |from, to| fs::hard_link(from, to)),
            true => copy_files(&from, &to, copy_and_sync),
        }
    }
}

fn copy_files(from: &Path, to: &Path, copy_file: impl Fn(&Path, &Path) -> io::Result<()>) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = paths(&entry.unwrap(), to);
        copy(&from, &to, &copy_file);
    }
}

/// The copy is synced, so that opening the image does not flush all of it.
fn copy_and_sync(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()
}

fn paths(entry: &fs::DirEntry, to: &Path) -> (PathBuf, PathBuf) {
    (entry.path(), to.join(entry.file_name()))
}

fn copy(from: &Path, to: &Path, copy_file: impl Fn(&Path, &Path) -> io::Result<()>) {
    match copy_file(from, to) {
        // A temporary file that was renamed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => done.unwrap(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::atomic::{AtomicU64, Ordering},
    };

    use super::*;

    #[test]
    fn keys_differ_and_are_spread() {
        let keys: HashSet<_> = (0..10_000).map(key).collect();
        assert_eq!(keys.len(), 10_000);
        let first_bytes: HashSet<_> = keys.iter().map(|key| key[0]).collect();
        assert_eq!(first_bytes.len(), 256);
    }

    #[test]
    fn every_thread_does_every_round() {
        let sum = AtomicU64::new(0);
        let _ = together(4, 10, |thread, round| {
            sum.fetch_add(100 * thread + round, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4 * 45 + 10 * 600);
    }

    #[test]
    fn an_image_holds_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let (path, image) = (directory.path().join("store"), directory.path().join("image"));
        let store = without_checkpoints().open(&path).unwrap();
        load(&store, 2500);
        store.checkpoint().unwrap();
        store.collection(COLLECTION).unwrap().put(key(2500), value(2500)).unwrap();
        killed_image(&path, &image);
        let copy = without_checkpoints().open(&image).unwrap();
        let collection = copy.collection(COLLECTION).unwrap();
        assert_eq!(collection.len().unwrap(), 2501);
        assert_eq!(copy.recovery().replayed_records, 1);
        assert_eq!(collection.get(key(17)).unwrap().unwrap(), value(17));
    }
}
