//! The follower checker: follows the store, as another process does. What a follower shows at a
//! position is the state there, and no crash takes it back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kv_core::{Follower, Lsn, Result, StoreOptions};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::{Model, sim::SimDisk};
use kv_wal::LogFollower;

use crate::{recording_log::Commits, snapshots::content_of, worker::assert_expected};

/// How many states are compared in each incarnation, at most.
const STATES_MAX: usize = 30;

pub struct FollowerChecker {
    rng: fastrand::Rng,
    disk: SimDisk,
    follower: Option<Follower>,
    /// What was shown in the current incarnation.
    shown: Vec<(Lsn, Model)>,
    /// The last position that was shown. No crash may take it back.
    pub highest: Lsn,
    pub failures: u64,
    /// How many states were compared.
    pub states: u64,
}

impl FollowerChecker {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            disk: SimDisk::new(0),
            follower: None,
            shown: Vec::new(),
            highest: Lsn::START,
            failures: 0,
            states: 0,
        }
    }

    /// Notes that the store on this disk was opened at this position.
    pub fn begin(&mut self, disk: &SimDisk, opened: Lsn) {
        assert!(self.highest <= opened, "a follower showed {}, but {opened} was recovered", self.highest);
        self.disk = disk.clone();
    }

    /// Compares what was shown, once it is known which writes there were. The store has ended.
    pub fn end(&mut self, commits: &Commits) {
        self.follower = None;
        for (position, shown) in self.shown.drain(..) {
            assert!(commits.state_at(position) == shown, "a follower showed another state at {position}");
            self.states += 1;
        }
    }

    /// Refreshes again and again until there are no more writes.
    pub fn follow(&mut self, done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            self.step();
            thread::sleep(Duration::from_micros(self.rng.u64(..700)));
        }
    }

    /// Refreshes, and notes what is shown.
    pub fn step(&mut self) {
        if let Err(error) = self.try_step() {
            assert_expected(&error);
            self.follower = None;
            self.failures += 1;
        }
    }

    fn try_step(&mut self) -> Result<()> {
        let follower = match self.follower.take() {
            Some(follower) => follower,
            None => self.open()?,
        };
        let before = follower.position();
        let position = follower.refresh()?;
        let snapshot = follower.snapshot();
        assert!(before <= position && position == snapshot.position(), "it went from {before} to {position}");
        self.highest = self.highest.max(position);
        if self.shown.len() < STATES_MAX {
            self.shown.push((position, content_of(&snapshot)));
        }
        // Otherwise the next step opens another one.
        self.follower = (self.rng.u8(..8) > 0).then_some(follower);
        Ok(())
    }

    fn open(&self) -> Result<Follower> {
        let vfs = self.disk.vfs();
        let open = |name| vfs.open_directory(name).map_err(kv_core::Error::from);
        let log = LogFollower::open(open("log")?)?;
        let checkpointer = Arc::new(MmapCheckpointer::open(open("checkpoints")?)?);
        let options = StoreOptions { checkpoint_record_bytes: 3 << 10, ..StoreOptions::default() };
        Follower::open(Box::new(log), checkpointer, &options)
    }
}
