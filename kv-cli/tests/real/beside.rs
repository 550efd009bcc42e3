//! Other files fill the disk of an open store, again and again, while the store is written: writes
//! are refused, and nothing else happens to them.

use std::{
    fmt::Debug,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use kv_store::{Durability, Error, Store};

use crate::{
    ledger::Ledger,
    mounts::{self, Image, Kind},
    plan::Step,
    tools, writer,
};

/// How many stores have their disk filled, at most.
const STORES: u64 = 7;
/// How often the disk of one store is filled. A store that is written longer would outgrow the
/// space that it shares with other files.
const ROUNDS: u64 = 12;
/// How often it is filled with small files. That takes btrfs many seconds, in which the store must
/// stay small.
const METADATA_ROUNDS: u64 = 2;
/// How many stores have their disk filled with small files, at most.
const METADATA_STORES: u64 = 3;
const METADATA_PAUSE: Duration = Duration::from_millis(20);
/// The store is opened again after this number of rounds.
const ROUNDS_OF_AN_OPENING: u64 = 3;
/// The space that the store and the other files compete for, in bytes. The rest is taken for good.
const CONTESTED_BYTES: u64 = 24 << 20;
/// The disk is full once this number of writes in a row is refused.
const REFUSALS: u64 = 4;
const WRITES_MAX: u64 = 20_000;
/// How much must be free again after the other files were removed, and how long that may take.
const GIVEN_BACK_BYTES: usize = 8 << 20;
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(60);

mounts::on_each!(a_disk_that_is_filled_beside_a_store, "a disk that is filled beside a store", fill_beside);

fn fill_beside(kind: Kind) {
    for _ in 0..(STORES / tools::every()).max(1) {
        let (_home, disk) = disk(kind);
        let mut trial = Trial::new(&disk, "store", kind.name());
        trial.run(ROUNDS);
        if kind == Kind::Btrfs {
            trial.is_overwritten_in_place();
        }
    }
}

/// btrfs keeps small files with its metadata. Without space for metadata even a flush may fail;
/// what was acknowledged must still be there.
#[test]
fn a_btrfs_whose_metadata_is_filled_beside_a_store() {
    if !Kind::Btrfs.is_here("metadata that is filled beside a store") {
        return;
    }
    for _ in 0..(METADATA_STORES / tools::every()).max(1) {
        let (_home, disk) = disk(Kind::Btrfs);
        let mut trial = Trial::new(&disk, "store", "btrfs, with small files");
        trial.others.fills_metadata = true;
        trial.run(METADATA_ROUNDS);
    }
}

#[test]
fn a_store_on_btrfs_in_a_directory_whose_files_are_compressed() {
    let tested = "a store in a directory whose files are compressed";
    if Kind::Btrfs.is_here(tested) && tools::has("btrfs", tested) {
        let (_home, disk) = disk(Kind::Btrfs);
        let dir = disk.path().join("store");
        fs::create_dir(&dir).unwrap();
        mounts::command("btrfs", &["property", "set", dir.to_str().unwrap(), "compression", "zstd"]).unwrap();
        let mut trial = Trial::new(&disk, "store", "btrfs, compressed");
        trial.run(ROUNDS_OF_AN_OPENING);
        trial.is_overwritten_in_place();
    }
}

/// The files of a copy lack the attribute that makes btrfs overwrite them in place.
#[test]
fn a_store_that_was_copied_to_btrfs() {
    if !Kind::Btrfs.is_here("a copied store") {
        return;
    }
    for is_closed in [true, false] {
        let (_home, disk) = disk(Kind::Btrfs);
        let mut trial = Trial::new(&disk, "copy", if is_closed { "btrfs, a copy" } else { "btrfs, a copy, killed" });
        let original = tools::memory_dir();
        let store = kv_store::open(original.path()).unwrap();
        trial.acknowledged(&store);
        if is_closed {
            store.close().unwrap();
        }
        drop(store);
        let paths = [original.path(), &trial.dir].map(|path| path.to_str().unwrap());
        mounts::command("cp", &["-r", paths[0], paths[1]]).unwrap();
        trial.run(ROUNDS_OF_AN_OPENING);
        trial.is_overwritten_in_place();
    }
}

fn disk(kind: Kind) -> (tempfile::TempDir, Image) {
    let home = tools::memory_dir();
    let image = Image::new(kind, home.path(), kind.small()).unwrap();
    (home, image)
}

/// A store on a disk that other files fill.
struct Trial {
    name: &'static str,
    dir: PathBuf,
    others: Others,
    ledger: Ledger,
    step: Step,
    refused: u64,
    /// How many writes have an unknown outcome.
    unknown: u64,
}

impl Trial {
    fn new(disk: &Image, store: &str, name: &'static str) -> Self {
        let others = Others { dir: disk.path().to_owned(), fills_metadata: false };
        let step = Step { thread: 0, number: 0 };
        Self { name, dir: disk.path().join(store), others, ledger: Ledger::default(), step, refused: 0, unknown: 0 }
    }

    fn run(&mut self, rounds: u64) {
        self.others.take_all_but(CONTESTED_BYTES);
        let mut store = None;
        for round in 0..rounds {
            let why = (self.name, "round", round);
            let open = store.get_or_insert_with(|| writer::options(None).open(&self.dir).unwrap());
            let is_poisoned = self.until_full(open, &why);
            if !is_poisoned {
                self.ledger.settle(open, &(why, "while the disk is full"));
            }
            self.others.give_back();
            if is_poisoned {
                store = None;
                self.ledger.prove(&self.dir, &why);
                continue;
            }
            self.acknowledged(open);
            if round % ROUNDS_OF_AN_OPENING == ROUNDS_OF_AN_OPENING - 1 {
                if round % 2 == 0 {
                    open.close().unwrap();
                }
                store = None;
                self.ledger.prove(&self.dir, &why);
            }
        }
        drop(store);
        self.ledger.prove(&self.dir, &self.name);
        tools::say(&format!(
            "filled beside a store on {}: {rounds} times, {} writes acknowledged and all there, {} refused, {} with an unknown outcome",
            self.name, self.ledger.acknowledged, self.refused, self.unknown
        ));
    }

    /// Fails unless btrfs overwrites in place the files that the log still writes: the mark, and
    /// the last segment.
    fn is_overwritten_in_place(&self) {
        let names = fs::read_dir(self.dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
        let last = names.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).max().unwrap();
        for path in [self.dir.join("log/MARK"), last] {
            let told = mounts::command("lsattr", &[path.to_str().unwrap()]).unwrap();
            let attributes = told.split(' ').next().unwrap();
            assert!(attributes.contains('C') && !attributes.contains('c'), "{}: {told}", self.name);
        }
    }

    /// Writes while other files fill the disk, until every write is refused. Returns whether the
    /// log is poisoned by then.
    fn until_full(&mut self, store: &Store, why: &dyn Debug) -> bool {
        let is_full = AtomicBool::new(false);
        let others = self.others.clone();
        let unknown = self.unknown;
        thread::scope(|scope| {
            scope.spawn(|| {
                others.fill();
                is_full.store(true, Ordering::Release);
            });
            let (mut in_a_row, mut writes) = (0, 0);
            while in_a_row < REFUSALS && self.unknown == unknown {
                let was_full = is_full.load(Ordering::Acquire);
                let is_taken = self.write(store, why);
                in_a_row = if is_taken || !was_full { 0 } else { in_a_row + 1 };
                if self.others.fills_metadata {
                    thread::sleep(METADATA_PAUSE);
                }
                writes += 1;
                assert!(writes < WRITES_MAX, "{why:?}: the disk was never full");
            }
        });
        self.unknown > unknown
    }

    /// Makes the next write. Returns whether it was acknowledged.
    fn write(&mut self, store: &Store, why: &dyn Debug) -> bool {
        self.step.number += 1;
        // A failed flush may lose what only has to survive a killed process.
        let fills_metadata = self.others.fills_metadata;
        let durability = if fills_metadata { Durability::Disk } else { self.step.durability() };
        let written = store.write_with(self.step.batch(), durability);
        match &written {
            Ok(()) => self.ledger.acknowledge(self.step),
            Err(Error::DiskFull { .. }) => self.refused += 1,
            Err(Error::OutcomeUnknown { .. }) if fills_metadata => {
                self.ledger.doubt(self.step);
                self.unknown += 1;
            }
            Err(error) => panic!("{why:?}: {}", error.chain()),
        }
        written.is_ok()
    }

    fn acknowledged(&mut self, store: &Store) {
        self.step.number += 1;
        writer::put(store, self.step).unwrap_or_else(|error| panic!("{}: with space: {}", self.name, error.chain()));
        self.ledger.acknowledge(self.step);
    }
}

/// The other files on the disk.
#[derive(Clone)]
struct Others {
    dir: PathBuf,
    fills_metadata: bool,
}

impl Others {
    /// Takes all space except for this, for good.
    fn take_all_but(&self, bytes: u64) {
        write_until_full(&self.dir.join("taken"));
        let file = File::options().write(true).open(self.dir.join("taken")).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len.saturating_sub(bytes)).and_then(|()| file.sync_all()).unwrap();
    }

    /// Takes the remaining space.
    fn fill(&self) {
        if self.fills_metadata {
            let _ = fs::create_dir(self.small());
            let mut numbers = 0..;
            while numbers.next().is_some_and(|n: u32| fs::write(self.small().join(n.to_string()), [1; 2000]).is_ok()) {}
        }
        write_until_full(&self.ballast());
    }

    /// Removes the files of [`fill`](Self::fill), and waits until their space is free: btrfs first
    /// has to commit the removal, and frees the space of its metadata in the background.
    fn give_back(&self) {
        let _ = fs::remove_dir_all(self.small());
        let _ = fs::remove_file(self.ballast());
        let started = Instant::now();
        while !self.is_given_back() {
            assert!(started.elapsed() < GIVEN_BACK_AFTER, "the space of removed files is not free");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn is_given_back(&self) -> bool {
        mounts::command("sync", &["-f", self.dir.to_str().unwrap()]).unwrap();
        let trial = self.dir.join("trial");
        let is_free =
            fs::write(&trial, vec![1; GIVEN_BACK_BYTES]).and_then(|()| File::open(&trial)?.sync_all()).is_ok();
        let is_removed = fs::remove_file(&trial).is_ok();
        mounts::command("sync", &["-f", self.dir.to_str().unwrap()]).unwrap();
        is_free && is_removed
    }

    fn small(&self) -> PathBuf {
        self.dir.join("small")
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }
}

fn write_until_full(path: &Path) {
    let Ok(mut file) = File::create(path) else { return };
    for block in [&[1; 1 << 20][..], &[1; 64 << 10], &[1; 4 << 10]] {
        while file.write_all(block).is_ok() {}
    }
    let _ = file.sync_all();
}
