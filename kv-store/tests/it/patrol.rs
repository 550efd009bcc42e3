//! The background job that reads the checkpoint: once after opening, and again and again.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use kv_store::{Options, Store, StoreOptions, background::Next};
use kv_testkit::ManualScheduler;
use tempfile::TempDir;

use crate::support::small;

const BLOCK: usize = 4096;
const MIB: u64 = 1 << 20;

/// A closed store with one part, which has 16 KiB, or somewhat more than `bytes`.
struct Place {
    home: TempDir,
}

impl Place {
    fn new(bytes: usize) -> Self {
        let place = Self { home: tempfile::tempdir().unwrap() };
        let store = small().open(place.path()).unwrap();
        let all = store.collection("all").unwrap();
        (0..10_u32.max(bytes as u32 / 10_000))
            .for_each(|n| all.put(n.to_be_bytes(), vec![7; 10_000.min(bytes)]).unwrap());
        store.checkpoint().unwrap().unwrap();
        store.close().unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("store")
    }

    fn part(&self) -> PathBuf {
        self.path().join("checkpoints/0000000000000001.part")
    }

    fn is_noted(&self) -> bool {
        self.path().join("checkpoints/0000000000000001.part.damaged").exists()
    }

    /// Flips a bit in a block of the part, which may be mapped.
    fn damage(&self, block: usize) {
        let mut bytes = fs::read(self.part()).unwrap();
        bytes[block * BLOCK + 50] ^= 1;
        fs::write(self.part(), bytes).unwrap();
    }

    fn open(&self, warm: bool, rate: u64, scheduler: Option<&ManualScheduler>) -> Store {
        let small = small();
        let mut store = StoreOptions { warm, patrol_bytes_per_second: rate, ..small.store };
        if let Some(scheduler) = scheduler {
            store.scheduler = Arc::new(scheduler.clone());
        }
        Options { store, ..small }.open(self.path()).unwrap()
    }
}

fn blocks(part: &Path) -> usize {
    fs::metadata(part).unwrap().len() as usize / BLOCK
}

/// Nothing reads the entries but the job.
#[test]
fn warming_reads_every_block() {
    let blocks = blocks(&Place::new(100).part());
    assert!(blocks >= 4, "{blocks}");
    for block in 0..blocks {
        let place = Place::new(100);
        let scheduler = ManualScheduler::new();
        let store = place.open(true, 0, Some(&scheduler));
        assert!(scheduler.woken().contains(&"kv-patrol"), "opening does not wait for it");
        place.damage(block);
        assert!(!place.is_noted());
        assert_eq!(scheduler.run("kv-patrol"), Some(Next::WhenWoken));
        assert!(place.is_noted(), "block {block} of {blocks} was not read");
        assert_eq!(store.collection("all").unwrap().len().unwrap(), 10);
    }
}

#[test]
fn warming_in_the_background_notes_damage_in_a_block_that_no_one_reads() {
    let place = Place::new(100_000);
    place.damage(blocks(&place.part()) / 2);
    let store = place.open(true, 0, None);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.is_noted() {
        assert!(Instant::now() < deadline, "the damage was not noted");
        thread::sleep(Duration::from_millis(5));
    }
    drop(store);
}

#[test]
fn nothing_is_read_that_was_not_asked_for() {
    let place = Place::new(100);
    let scheduler = ManualScheduler::new();
    let _store = place.open(false, 0, Some(&scheduler));
    assert!(!scheduler.jobs().contains(&"kv-patrol"));
}

/// One step reads one mebibyte, and comes when the rate allows it.
#[test]
fn a_patrol_finds_damage_that_comes_later_step_by_step() {
    let place = Place::new(2_500_000);
    let scheduler = ManualScheduler::new();
    let store = place.open(false, MIB / 2, Some(&scheduler));
    let step = || assert_eq!(scheduler.run("kv-patrol"), Some(Next::After(Duration::from_secs(2))));
    for round in 0..2 {
        (0..3).for_each(|_| step());
        assert!(!place.is_noted(), "round {round}");
    }
    place.damage(MIB as usize * 3 / 2 / BLOCK); // it was verified twice
    step();
    assert!(!place.is_noted(), "the first mebibyte is intact");
    step();
    assert!(place.is_noted(), "the second is not");
    assert!(store.collection("all").unwrap().get(0_u32.to_be_bytes()).unwrap().is_some());
}

#[test]
fn a_patrol_begins_with_a_new_checkpoint_from_its_start() {
    let place = Place::new(2_500_000);
    let scheduler = ManualScheduler::new();
    let store = place.open(false, MIB, Some(&scheduler));
    scheduler.run("kv-patrol");
    store.collection("all").unwrap().put("more", "of it").unwrap();
    let checkpoint = thread::scope(|scope| {
        let checkpoint = scope.spawn(|| store.checkpoint());
        while !checkpoint.is_finished() {
            scheduler.run_woken();
        }
        checkpoint.join().unwrap()
    });
    assert!(checkpoint.unwrap().is_some());
    // The new part is the first in the stack.
    let newest = place.path().join("checkpoints/0000000000000002.part");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[BLOCK + 5] ^= 1;
    fs::write(&newest, bytes).unwrap();
    scheduler.run("kv-patrol");
    assert!(newest.with_extension("part.damaged").exists());
}

#[test]
fn closing_does_not_wait_for_the_next_step() {
    for warm in [false, true] {
        let place = Place::new(2_500_000);
        let begun = Instant::now();
        let store = place.open(warm, 1, None); // a step in 12 days
        store.close().unwrap();
        drop(store);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let scheduler = ManualScheduler::new();
        let store = place.open(warm, 1, Some(&scheduler));
        assert!(scheduler.jobs().contains(&"kv-patrol"));
        drop(store);
        assert!(scheduler.jobs().is_empty(), "{:?}", scheduler.jobs());
    }
}
