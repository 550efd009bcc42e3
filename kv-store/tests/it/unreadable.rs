//! Blocks of the newest checkpoint that the disk cannot read, with a reader that gets an error for
//! them. The older checkpoint and the log restore everything.

use std::io::ErrorKind;

use kv_store::{Error, Reader, Store};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Event, Fault, Kind},
};

use crate::support::{Content, content, small};

const BLOCK: u64 = 4096;

fn open(disk: &SimDisk) -> kv_store::Result<Store> {
    small().reader(Reader::Pread { cache_bytes: 100_000 }).open_in(disk.vfs())
}

/// A closed store with two checkpoints that share no part, and what it holds.
fn closed() -> (SimDisk, Content) {
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    for round in 0..2_u8 {
        let entries = store.collection(&format!("collection {round}")).unwrap();
        (0..60_u8).for_each(|n| entries.put([n], vec![n ^ round; 200]).unwrap());
        entries.put(b"large", vec![round; 9000]).unwrap();
        store.checkpoint().unwrap().unwrap();
    }
    store.collection("collection 1").unwrap().put(b"last", "in the log").unwrap();
    let content = content(&store).unwrap();
    store.close().unwrap();
    (disk, content)
}

/// The manifest and the part of the newest checkpoint.
fn newest(disk: &SimDisk) -> [(String, u64); 2] {
    let files = disk.file_bytes();
    [".manifest", ".part"].map(|kind| files.clone().into_iter().rfind(|(name, _)| name.ends_with(kind)).unwrap())
}

/// The manifest of the older checkpoint.
fn older_manifest(disk: &SimDisk) -> (String, u64) {
    disk.file_bytes().into_iter().find(|(name, _)| name.ends_with(".manifest")).unwrap()
}

fn reads(event: &Event, path: &str, block: u64) -> bool {
    let read = event.offset..event.offset + event.bytes as u64;
    event.kind == Kind::Read && event.path.starts_with(path) && read.contains(&(block * BLOCK))
}

/// A file that cannot be read keeps no checkpoint from being made.
fn checkpoint(store: &Store) {
    let entries = store.collection("collection 0").unwrap();
    entries.put(b"more", "value").unwrap();
    entries.delete(b"more").unwrap();
    store.checkpoint().unwrap().unwrap();
}

/// Whether this reads the text of a flag.
fn reads_a_flag(event: &Event) -> bool {
    event.kind == Kind::Read && event.path.ends_with(".damaged")
}

/// Opens the store. If a read meets the block, opens it once more.
fn healed(disk: &SimDisk, expected: &Content) -> Store {
    let store = open(disk).unwrap();
    let read = content(&store);
    if !store.recovery().bad_checkpoints.is_empty() || read.is_ok() {
        assert_eq!(read.unwrap(), *expected);
        return store;
    }
    assert!(matches!(read, Err(Error::Io { .. })), "{read:?}");
    drop(store);
    let store = open(disk).unwrap();
    assert_eq!(store.recovery().bad_checkpoints.len(), 1);
    assert_eq!(content(&store).unwrap(), *expected);
    store
}

#[test]
fn whichever_block_cannot_be_read_everything_is_restored() {
    let (disk, expected) = closed();
    for (path, bytes) in newest(&disk).into_iter().chain([older_manifest(&disk)]) {
        for block in 0..bytes.div_ceil(BLOCK) {
            let disk = disk.killed();
            let unreadable = path.clone();
            disk.fail(Fault::when(move |event| reads(event, &unreadable, block) || reads_a_flag(event)).for_ever());
            let store = healed(&disk, &expected);
            checkpoint(&store);
            drop(store);
            let store = open(&disk).unwrap();
            checkpoint(&store);
            assert!(store.recovery().bad_checkpoints.is_empty(), "block {block} of {path}: it is set aside");
            assert_eq!(content(&store).unwrap(), expected, "block {block} of {path}");
        }
    }
}

#[test]
fn a_read_that_fails_once_gives_up_no_checkpoint() {
    let (disk, expected) = closed();
    for n in 1.. {
        let disk = disk.killed();
        disk.fail(Fault::on(Kind::Read).of("checkpoints/").nth(n));
        let store = open(&disk).unwrap();
        let failed = disk.failures() > 0;
        assert!(store.recovery().bad_checkpoints.is_empty(), "read {n}");
        if !failed {
            return assert!(n > 3, "only {n} reads");
        }
        assert_eq!(content(&store).unwrap(), expected, "read {n}");
    }
}

/// What only the process or the machine lacks is an error, and the checkpoint is used later.
#[test]
fn a_checkpoint_that_this_process_cannot_read_is_not_given_up() {
    let (disk, expected) = closed();
    for (path, _) in newest(&disk) {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::OutOfMemory] {
            let disk = disk.killed();
            disk.fail(Fault::on(Kind::Read).of(path.clone()).for_ever().with(kind));
            disk.fail(Fault::on(Kind::Open).of(path.clone()).for_ever().with(kind));
            let refused = open(&disk).unwrap_err();
            assert!(matches!(&refused, Error::Io { source, .. } if source.kind() == kind), "{refused:?}");
            disk.heal();
            let store = open(&disk).unwrap();
            assert!(store.recovery().bad_checkpoints.is_empty());
            assert_eq!(content(&store).unwrap(), expected);
        }
    }
}
