//! The real store, and what it shows.

use std::sync::Arc;

use kv_core::{Batch, Durability, Error, Lsn, Pin, StoreOptions};
use kv_store::{Options, Store};
use kv_testkit::{
    ManualScheduler,
    sim::{Damage, SimDisk},
    stack_model::{KEYS, Record},
};

use super::{
    follower::Work,
    pausing::{Point, Running, pausing},
};

const ITEMS: &str = "items";
const NAMES: [&str; KEYS] = ["a", "b"];
/// The keys before and after the others, so that these have a block of their own in each part.
/// Their values also make each record fill a segment of the log.
const AROUND: [&str; 2] = ["0", "z"];
const AROUND_BYTES: usize = 4200;
/// A value this large fills the memtable, so that it is frozen ...
const FULL_BYTES: usize = 160 << 10;
/// ... at this threshold. All other records that a memtable gets are less together.
const THRESHOLD_BYTES: u64 = 90 << 10;
/// A bit in the block of a part that has the entries of [`NAMES`].
const DAMAGED_BIT: u64 = (2 * 4096 + 100) * 8;

/// A store on a simulated disk. Its first record, at position 1, made a collection. So position n
/// of the model is position n + 1 here.
pub struct Real {
    pub disk: SimDisk,
    pub store: Option<Store>,
    /// What is under way: a write and a merge of checkpoints.
    running: [Option<Running>; 2],
    pin: Option<Pin>,
    openings: u32,
    jobs: ManualScheduler,
    jobs_of_log: ManualScheduler,
}

impl Real {
    /// A store that is closed, and has a collection.
    pub fn new() -> Self {
        let mut real = Self::closed(SimDisk::new(1), 0);
        real.open().unwrap();
        assert!(real.store().create_collection(ITEMS).unwrap());
        Self::closed(real.disk.killed(), 0)
    }

    fn closed(disk: SimDisk, openings: u32) -> Self {
        let (jobs, jobs_of_log) = (ManualScheduler::new(), ManualScheduler::new());
        Self { disk, store: None, running: [None, None], pin: None, openings, jobs, jobs_of_log }
    }

    /// A closed store on a copy of this disk, as if it was not opened before.
    pub fn begin_again(&self) -> Self {
        Self::closed(self.disk.killed(), 0)
    }

    /// The same, but closed, on another disk.
    pub fn on(&self, disk: SimDisk) -> Self {
        Self::closed(disk, self.openings)
    }

    pub fn open(&mut self) -> kv_store::Result<()> {
        self.openings += 1;
        self.store = Some(self.options().open_in(pausing(self.disk.vfs()))?);
        Ok(())
    }

    /// Whether a large value freezes the memtable. After the first opening it does not: replay
    /// would freeze there, too, and in the model it does not.
    pub fn freezes(&self) -> bool {
        self.openings == 1
    }

    fn options(&self) -> Options {
        let log = kv_wal::Options {
            segment_bytes_max: 16 << 10,
            segment_bytes_min: 16 << 10,
            scheduler: Arc::new(self.jobs_of_log.clone()),
            ..kv_wal::Options::default()
        };
        let store = StoreOptions {
            checkpoint_record_bytes: if self.freezes() { THRESHOLD_BYTES } else { u64::MAX },
            checkpoint_medium_bytes: u64::MAX,
            close_checkpoint_record_bytes: u64::MAX,
            slow_thresholds: 100,
            wait_thresholds: 200,
            slow_unmerged_parts: usize::MAX,
            scheduler: Arc::new(self.jobs.clone()),
            ..StoreOptions::default()
        };
        Options { create: true, store, log, ..Options::default() }
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Writes a record; the value that it puts is `value`.
    pub fn append(&self, record: Record, value: u8, fills_memtable: bool) {
        let mut batch = Batch::new();
        batch.put(ITEMS, AROUND[0], [0; AROUND_BYTES]);
        match record {
            Record::Put(key) => batch.put(ITEMS, NAMES[key], [value]),
            Record::Delete(key) => batch.delete_if_present(ITEMS, NAMES[key]),
        };
        batch.put(ITEMS, AROUND[1], vec![0; if fills_memtable { FULL_BYTES } else { AROUND_BYTES }]);
        self.store().write_with(&batch, Durability::Process).unwrap();
        self.jobs_of_log.run_woken();
    }

    pub fn sync(&self) {
        self.store().sync().unwrap();
        self.jobs_of_log.run_woken();
    }

    /// Reads a key. `Err` if it meets damage.
    pub fn read(&self, key: usize) -> Result<Option<u8>, String> {
        match self.store().collection(ITEMS).unwrap().get(NAMES[key]) {
            Ok(value) => Ok(value.map(|value| value[0])),
            Err(error @ Error::Corrupt { .. }) => Err(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Begins a checkpoint or a merge, up to its first pause.
    pub fn begin(&mut self, work: Work) {
        let (jobs, store) = (self.jobs.clone(), self.store().clone());
        self.running[work as usize] = Some(Running::start(move || match work {
            Work::Write => drop(store.checkpoint().unwrap()),
            Work::Merge => {
                jobs.run("kv-merge");
                assert_eq!(store.stats().merge_error, None);
            }
        }));
        self.reap(work);
    }

    /// Lets the work go on to its next pause.
    pub fn go_on(&mut self, work: Work) {
        self.running[work as usize].iter_mut().for_each(Running::advance);
        self.reap(work);
    }

    fn reap(&mut self, work: Work) {
        if self.at(work).is_none()
            && let Some(ended) = self.running[work as usize].take()
        {
            ended.let_go().join().unwrap();
        }
    }

    /// What decides what is possible next, beside what the model knows.
    pub fn situation(&self) -> ([Option<Point>; 2], bool) {
        (Work::ALL.map(|work| self.at(work)), self.openings < 2)
    }

    /// Where the work pauses; `None` if there is none.
    pub fn at(&self, work: Work) -> Option<Point> {
        self.running[work as usize].as_ref()?.at
    }

    pub fn compact(&self) {
        self.store().compact().unwrap();
    }

    pub fn pin(&mut self) {
        let view = self.store().stats().checkpoint;
        self.pin = Some(self.store().pin(view.map_or(Lsn::START, |id| id.lsn)).unwrap());
    }

    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    pub fn unpin(&mut self) {
        self.pin = None;
    }

    /// Damages the block that holds the keys, in a part of the newest checkpoint. The parts are
    /// counted from the newest.
    pub fn damage(&self, part: usize) {
        let path = part_path(self.checkpoints()[0].1[part]);
        assert!(self.disk.damage(&path, &Damage::FlippedBit(DAMAGED_BIT)));
    }

    /// The checkpoints that are listed, the newest first: their positions and their parts, of which
    /// the newest is the first.
    pub fn checkpoints(&self) -> Vec<(u8, Vec<u64>)> {
        let vfs = self.disk.vfs().open_directory("checkpoints").unwrap();
        let mut names: Vec<_> =
            { vfs.list().unwrap() }.into_iter().filter(|name| name.ends_with(".manifest")).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        let checkpoint = |name: String| {
            let mut text = Vec::new();
            kv_snapshot::dump(&*vfs, &name, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let seqs = text.lines().filter_map(|line| line.strip_prefix("part ")?.split_once(':')?.0.parse().ok());
            (position(u64::from_str_radix(&name[17..33], 16).unwrap()), seqs.collect())
        };
        names.into_iter().map(checkpoint).collect()
    }
}

impl Drop for Real {
    /// Lets all work go before it waits for any: one may wait for the other.
    fn drop(&mut self) {
        let threads = self.running.each_mut().map(|running| running.take().map(Running::let_go));
        threads.into_iter().flatten().for_each(|thread| drop(thread.join()));
    }
}

pub fn part_path(seq: u64) -> String {
    format!("checkpoints/{seq:016x}.part")
}

/// The position of the model that stands for a position here.
pub fn position(lsn: u64) -> u8 {
    u8::try_from(lsn.saturating_sub(1)).unwrap()
}
