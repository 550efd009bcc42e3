//! How checkpoints are read: through maps, or through a cache.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use kv_store::{Durability, Options, Reader, Store, StoreOptions, Value};
use kv_testkit::{
    kernel::{copies_through_maps, mapped_files, open_files},
    vfs::{Fault, Kind, TestVfs},
};
use kv_vfs::OsVfs;
use tempfile::TempDir;

use crate::support::{content, small};

const PREAD: Reader = Reader::Pread { cache_bytes: 100_000 };

/// Checkpoints, merges, reads, scans, and a clean end.
fn live(store: &Store) {
    let all = store.collection("all").unwrap();
    for round in 0..6_u8 {
        (0..200_u8).for_each(|n| all.put([n.wrapping_mul(round | 1), round % 3], vec![round; 100]).unwrap());
        all.put(b"large", vec![round; 20_000]).unwrap();
        store.checkpoint().unwrap().unwrap();
        content(store).unwrap();
    }
    store.compact().unwrap();
    content(store).unwrap();
    all.put(b"last", "in the log").unwrap();
    store.checkpoint().unwrap().unwrap();
    store.close().unwrap();
}

/// How often each file is mapped from now on.
fn count_maps(vfs: &TestVfs) -> Arc<Mutex<BTreeMap<String, u32>>> {
    let maps = Arc::<Mutex<BTreeMap<String, u32>>>::default();
    let counted = maps.clone();
    vfs.fail(Fault::when(move |event| {
        if event.kind == Kind::Map {
            *counted.lock().unwrap().entry(event.path.clone()).or_default() += 1;
        }
        false
    }));
    maps
}

#[test]
fn no_file_is_mapped_twice_in_the_life_of_a_store() {
    let home = TempDir::new().unwrap();
    for _ in 0..2 {
        let vfs = TestVfs::new(OsVfs::open(home.path()).unwrap());
        let maps = count_maps(&vfs);
        let store = small().open_in(vfs).unwrap();
        assert_eq!(store.stats().read_cache, None);
        live(&store);
        let maps = maps.lock().unwrap();
        assert!(maps.len() >= 8 && maps.values().all(|count| *count == 1), "{maps:?}");
    }
}

#[test]
fn a_store_works_without_any_map() {
    let home = TempDir::new().unwrap();
    let open = || {
        let vfs = TestVfs::new(OsVfs::open(home.path()).unwrap());
        vfs.fail(Fault::on(Kind::Map).for_ever());
        (vfs.clone(), small().reader(PREAD).open_in(vfs).unwrap())
    };
    let (vfs, store) = open();
    live(&store);
    let before = content(&store).unwrap();
    drop(store);
    assert_eq!(vfs.count(Kind::Map), 0);
    let (vfs, store) = open();
    assert_eq!(content(&store).unwrap(), before);
    let stats = store.stats();
    let cache = stats.read_cache.unwrap();
    assert!(cache.limit == 100_000 && cache.bytes <= cache.limit && cache.hits > 0 && cache.misses > 0, "{cache:?}");
    let shown = stats.to_string();
    assert!(shown.contains(&format!("read through a cache: {} of 100000 bytes", cache.bytes)), "{shown}");
    assert_eq!(vfs.count(Kind::Map), 0);
}

/// With maps, the part of the checkpoint and the segments that this opening has made are mapped.
/// Without, nothing is.
#[test]
fn files_are_mapped_only_by_a_reader_that_maps() {
    for reader in [PREAD, Reader::Mapped] {
        let home = TempDir::new().unwrap();
        let store = Options { reader, ..small() }.open(home.path().join("store")).unwrap();
        let all = store.collection("all").unwrap().with_durability(Durability::Process);
        all.put("key", "value").unwrap();
        store.checkpoint().unwrap().unwrap();
        // The log goes on to a segment that this opening has made.
        (0..2000_u32).for_each(|n| all.put("key", n.to_be_bytes()).unwrap());
        let found = mapped_files(home.path());
        let is_mapped = |name: &str| found.iter().any(|path| path.starts_with(home.path().join("store").join(name)));
        let maps = reader == Reader::Mapped;
        assert_eq!(is_mapped("checkpoints"), maps, "{found:?}");
        assert_eq!(is_mapped("log"), maps && copies_through_maps(home.path()), "{found:?}");
    }
}

/// Either reader opens what the other has written.
#[test]
fn the_reader_is_chosen_at_each_opening() {
    let home = TempDir::new().unwrap();
    let mut before = None;
    for reader in [PREAD, Reader::Mapped, PREAD, Reader::Pread { cache_bytes: 0 }] {
        let store = Options { reader, ..small() }.open(home.path().join("store")).unwrap();
        if let Some(before) = before {
            assert_eq!(content(&store).unwrap(), before);
        }
        live(&store);
        before = Some(content(&store).unwrap());
    }
}

/// A long value keeps the map that it lies in, if there is one. A short value keeps nothing, and an
/// iterator keeps what it reads. `Stats` shows what the disk does not have back for their sake.
#[test]
fn removed_files_that_are_still_read_are_shown() {
    for reader in [Reader::Mapped, PREAD] {
        let home = TempDir::new().unwrap();
        let store = Options { reader, ..small() }.open(home.path().join("store")).unwrap();
        let all = store.collection("all").unwrap();
        (0..200_u8).for_each(|n| all.put([n], vec![n; 100]).unwrap());
        all.put("long", [8; Value::COPIED_BYTES_MAX + 1]).unwrap();
        store.compact().unwrap();
        let [short, long] = [&[7][..], b"long"].map(|key| all.get(key).unwrap().unwrap());
        let mut entries = all.iter();
        entries.next().unwrap().unwrap();
        (0..200_u8).for_each(|n| all.put([n], vec![0; 100]).unwrap());
        store.compact().unwrap();
        let stats = store.stats();
        assert!(stats.removed_bytes > 20_000, "{reader:?}: {stats}");
        assert!(stats.to_string().contains("bytes of removed files are still read"), "{stats}");
        drop(entries);
        let keeps = store.stats().removed_bytes > 0;
        assert_eq!(keeps, matches!(reader, Reader::Mapped), "{reader:?}: a value from the cache keeps no file");
        assert_eq!(long, [8; Value::COPIED_BYTES_MAX + 1]);
        drop(long);
        assert_eq!(store.stats().removed_bytes, 0, "{reader:?}: a short value keeps a file");
        assert_eq!(short, [7; 100]);
    }
}

/// Each segment that waits for a flush is held open. A checkpoint flushes them, so they take no
/// more than what may wait for a checkpoint.
#[test]
fn writes_that_wait_for_no_flush_hold_few_segments() {
    let home = TempDir::new().unwrap();
    let (threshold, segment) = (2 << 20, 1 << 20);
    let log = kv_wal::Options { segment_bytes_max: segment, segment_bytes_min: segment, ..kv_wal::Options::default() };
    let store = StoreOptions { checkpoint_record_bytes: threshold, ..StoreOptions::default() };
    let waiting = u64::from(store.wait_thresholds) * threshold / segment;
    let store = Options { store, log, ..Options::default() }.open(home.path()).unwrap();
    let all = store.collection("all").unwrap().with_durability(Durability::Process);
    let (log, mut most) = (home.path().join("log"), 0);
    for n in 0..30_000_u32 {
        all.put(n.to_be_bytes(), [7; 2000]).unwrap();
        if n % 100 == 0 {
            most = most.max(open_files(&log).len() as u64);
        }
    }
    let others = 8; // the directory, its lock, the mark, the spare, and what is being read or trimmed
    assert!(most <= waiting + others, "{most} files of the log were open, of 60 that were written");
}
