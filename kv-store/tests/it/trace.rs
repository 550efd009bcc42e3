//! Every operation that changes the disk during the use of a store. A write, sync or rename that is
//! missing or superfluous shows as a difference.

use std::{fmt::Write, sync::Arc};

use kv_store::{Collection, Durability, Options, Store};
use kv_testkit::{
    ManualScheduler,
    sim::{CrashChoice, CrashModel, SimDisk, Survivors},
};

use crate::support::small;

/// A store on a simulated disk, and a trace of the disk's operations, step by step.
struct Traced {
    disk: SimDisk,
    scheduler: ManualScheduler,
    store: Option<Store>,
    trace: String,
}

impl Traced {
    fn new(disk: SimDisk) -> Self {
        let scheduler = ManualScheduler::new();
        let mut traced = Self { disk, scheduler, store: None, trace: String::new() };
        traced.open();
        traced
    }

    fn open(&mut self) {
        let Options { mut log, mut store, .. } = small();
        log.scheduler = Arc::new(self.scheduler.clone());
        store.scheduler = Arc::new(self.scheduler.clone());
        self.store = Some(Options { log, store, ..Options::default() }.open_in(self.disk.vfs()).unwrap());
    }

    fn step(&mut self, name: &str, run: impl FnOnce(&Store)) {
        run(self.store.as_ref().unwrap());
        self.note(name);
    }

    fn put(&mut self, name: &str, durability: Durability, value: &[u8]) {
        let put = |store: &Store| items(store).with_durability(durability).put("key", value).unwrap();
        self.step(name, put);
    }

    fn note(&mut self, name: &str) {
        writeln!(self.trace, "# {name}\n{}", self.disk.take_trace()).unwrap();
    }
}

fn items(store: &Store) -> Collection {
    store.collection("items").unwrap()
}

#[test]
fn life_of_a_store() {
    let mut traced = Traced::new(SimDisk::new(1));
    traced.note("creating");
    traced.scheduler.run_woken();
    traced.note("in the background");
    traced.step("a collection", |store| assert!(store.create_collection("items").unwrap()));
    traced.put("the first write", Durability::Disk, b"1");
    traced.put("another", Durability::Disk, b"2");
    traced.put("one that survives the process", Durability::Process, b"3");
    traced.step("and its sync", |store| store.sync().map(drop).unwrap());
    traced.step("a sync of nothing", |store| store.sync().map(drop).unwrap());
    traced.put("roll-over to the next segment", Durability::Disk, &[b'x'; 10_000]);
    traced.scheduler.run_woken();
    traced.note("in the background");
    traced.step("a checkpoint", |store| assert!(store.checkpoint().unwrap().is_some()));
    traced.put("a write after it", Durability::Disk, b"4");
    traced.step("the second checkpoint, which trims", |store| assert!(store.checkpoint().unwrap().is_some()));
    traced.put("and one more", Durability::Disk, &[b'y'; 9000]);
    traced
        .step("the third checkpoint, which removes the first", |store| assert!(store.checkpoint().unwrap().is_some()));
    traced.step("a clean close", |store| store.close().unwrap());
    traced.store = None;
    traced.open();
    traced.step("reopening and reading", |store| assert_eq!(items(store).len().unwrap(), 1));
    traced.put("a write after that", Durability::Disk, b"5");

    let left = traced.disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    let mut again = Traced::new(left);
    again.step("recovery after a power cut, and reading", |store| {
        assert_eq!(items(store).get("key").unwrap().unwrap(), "5");
    });
    again.put("the first write after it", Durability::Disk, b"6");
    again.step("a clean close", |store| store.close().unwrap());
    insta::assert_snapshot!(traced.trace + &again.trace);
}

/// Opening and reading show only syncs in the trace: nothing is written, and no name changes.
#[test]
fn opening_and_reading_write_no_file() {
    let mut traced = Traced::new(SimDisk::new(1));
    traced.step("", |store| assert!(store.create_collection("items").unwrap()));
    traced.put("", Durability::Disk, b"1");
    traced.step("", |store| assert!(store.checkpoint().unwrap().is_some()));
    traced.put("", Durability::Process, b"2");
    for model in [CrashModel::Killed, CrashModel::Ext4] {
        let left = traced.disk.crash(&CrashChoice { model, survivors: Survivors::Everything });
        let before = left.files();
        let opened = Traced::new(left);
        assert_eq!(items(opened.store.as_ref().unwrap()).get("key").unwrap().unwrap(), "2");
        let trace = opened.disk.take_trace();
        assert!(!trace.is_empty() && trace.lines().all(|line| line.starts_with("sync ")), "{trace}");
        assert_eq!(opened.disk.files(), before);
    }
}
