//! A lost block must not make an old seal valid again: a store is closed, opened again and written,
//! power fails, and a block that was written since then reads as zeroes.
//!
//! A power cut may leave the ack mark as old as its last sync. So recovery would believe the seal,
//! and lose everything after it, unless something that was synced proves that there was a later
//! opening.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_store::{Durability, Error, Options, Store};
use kv_testkit::ManualScheduler;

use crate::{
    mounts::{self, Image, Kind},
    tools,
};

const BYTES: u64 = 300 << 20;
const BLOCK_BYTES: usize = 4096;
const ZEROES: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
/// How many writes precede the seal, in each of the stores. A binary search for the end of a
/// segment of 256 blocks looks at blocks 128 and 64 first, so there are seals just before these
/// blocks, in them, and just after them.
const BEFORE: [u32; 8] = [61, 62, 63, 64, 125, 126, 127, 128];
/// How many writes are acknowledged after the seal.
const AFTER: u32 = 120;
const OLD: &str = "before the seal";
const NEW: &str = "after the seal";

/// Options without background threads: a store writes only when it is called.
fn options() -> Options {
    let scheduler = ManualScheduler::new();
    let mut options = Options::default();
    options.log.scheduler = Arc::new(scheduler.clone());
    options.store.scheduler = Arc::new(scheduler);
    options.store.close_checkpoint_record_bytes = u64::MAX;
    options
}

fn put(store: &Store, keys: u32, value: &str) {
    let collection = store.collection("c").unwrap().with_durability(Durability::Disk);
    (0..keys).for_each(|key| collection.put(key.to_be_bytes(), value).unwrap());
}

/// How many of the writes after the seal are there, before the first that is missing.
fn count_new(store: &Store) -> u32 {
    let collection = store.collection("c").unwrap();
    let is_new = |key: &u32| collection.get(key.to_be_bytes()).unwrap().is_some_and(|value| *value == *NEW.as_bytes());
    (0..AFTER).take_while(is_new).count() as u32
}

/// The bytes of every segment of a store.
fn segments(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wal"));
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A block of a segment.
struct Block {
    path: PathBuf,
    offset: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn write(&self, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, self.offset).and_then(|()| file.sync_all()).unwrap();
    }
}

/// A store that was closed, opened again and written before power failed.
struct Subject {
    dir: PathBuf,
    /// Its segments when it was closed.
    sealed: BTreeMap<PathBuf, Vec<u8>>,
    /// The ack mark that the kernel had when power failed.
    mark: Vec<u8>,
}

impl Subject {
    /// The subject, and its store, which is still open.
    fn new(dir: PathBuf, before: u32) -> (Self, Store) {
        let store = options().open(&dir).unwrap();
        put(&store, before, OLD);
        store.close().unwrap();
        drop(store);
        let sealed = segments(&dir);
        let store = options().create(false).open(&dir).unwrap();
        put(&store, AFTER, NEW);
        let mark = fs::read(dir.join("log/MARK")).unwrap();
        (Self { dir, sealed, mark }, store)
    }

    /// Whether the power cut took the newest mark.
    fn has_older_mark(&self) -> bool {
        fs::read(self.dir.join("log/MARK")).unwrap() != self.mark
    }

    /// The blocks that were written since the store was closed, in order, without the headers of
    /// new segments.
    fn written(&self) -> Vec<Block> {
        let mut written = Vec::new();
        for (path, bytes) in segments(&self.dir) {
            let sealed = self.sealed.get(&path);
            for (number, bytes) in bytes.chunks_exact(BLOCK_BYTES).enumerate().skip(1) {
                let offset = number * BLOCK_BYTES;
                let before = sealed.map_or(&ZEROES[..], |sealed| &sealed[offset..][..BLOCK_BYTES]);
                if bytes != before {
                    written.push(Block { path: path.clone(), offset: offset as u64, bytes: bytes.to_vec() });
                }
            }
        }
        written
    }

    /// Opens the store with that block zeroed, and restores the block. Returns whether the damage
    /// was refused.
    fn is_refused_without(&self, block: &Block, why: &dyn std::fmt::Debug) -> bool {
        block.write(&ZEROES);
        let is_refused = match options().create(false).open(&self.dir) {
            Err(Error::Corrupt { .. }) => true,
            Err(error) => panic!("{why:?}: {}", error.chain()),
            Ok(store) => {
                let there = count_new(&store);
                assert!(
                    there + 1 >= AFTER,
                    "{why:?}: opened without the block at {} of {}: of {AFTER} acknowledged writes only {there} are there",
                    block.offset,
                    block.path.display()
                );
                false
            }
        };
        block.write(&block.bytes);
        is_refused
    }
}

mounts::on_each!(no_lost_block_makes_an_old_seal_valid, "a lost block after a seal", lose_blocks_on);

fn lose_blocks_on(kind: Kind) {
    let name = kind.name();
    let mut total = Losses::default();
    for before in BEFORE {
        total.add(&lose_blocks(kind, before));
    }
    let Losses { blocks, refused, older_marks } = total;
    if older_marks == 0 {
        tools::not_tested(&format!("the seal on {name}"), "each ack mark was on the disk in its newest state");
    }
    tools::say(&format!(
        "the seal on {name}: {} power cuts, {older_marks} with an older mark, {blocks} blocks lost one by one, {refused} refused, \
         otherwise at most the last write is gone",
        BEFORE.len()
    ));
}

#[derive(Default)]
struct Losses {
    blocks: usize,
    refused: usize,
    older_marks: usize,
}

impl Losses {
    fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.refused += other.refused;
        self.older_marks += other.older_marks;
    }
}

/// Loses blocks of a store with that number of writes before its seal. The store has a disk of its
/// own, so that no other activity makes the kernel write the mark.
fn lose_blocks(kind: Kind, before: u32) -> Losses {
    let home = tools::memory_dir();
    let mut disk = Image::new(kind, home.path(), BYTES).unwrap();
    let (subject, store) = Subject::new(disk.path().join("store"), before);
    let copy = disk.copy("after.image");
    drop(store);
    disk.replace(copy);

    let why = (kind, "writes before the seal:", before);
    let older_marks = usize::from(subject.has_older_mark());
    let store = options().create(false).open(&subject.dir).unwrap_or_else(|error| panic!("{why:?}: {}", error.chain()));
    assert_eq!(count_new(&store), AFTER, "{why:?}: with every block there");
    drop(store);
    let mut blocks = subject.written();
    assert!(blocks.len() >= AFTER as usize, "{why:?}: only {} blocks", blocks.len());
    // The block after the seal in any case.
    let others = blocks.split_off(1);
    blocks.extend(tools::chosen(others));
    let refused = blocks.iter().filter(|block| subject.is_refused_without(block, &why)).count();
    Losses { blocks: blocks.len(), refused, older_marks }
}
