//! What an owner may do while a follower opens, refreshes and reads.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use kv_store::{Durability, Follower, Lsn, Options, Reader, Store, StoreOptions};
use kv_testkit::{
    ManualScheduler,
    sim::SimDisk,
    vfs::{Fault, Kind, TestVfs},
};

use crate::history::{History, check, write};

/// The owner of a store on a simulated disk. Its background jobs never run.
struct Owner {
    disk: SimDisk,
    reader: Reader,
    store: Option<Store>,
    history: History,
    salt: u64,
}

impl Owner {
    fn new(seed: u64, reader: Reader) -> Self {
        let mut owner = Self { disk: SimDisk::new(seed), reader, store: None, history: History::default(), salt: 0 };
        owner.open();
        owner
    }

    fn options(&self) -> Options {
        let scheduler = Arc::new(ManualScheduler::new());
        let log = kv_store::LogOptions {
            segment_bytes_max: 16 << 10,
            segment_bytes_min: 16 << 10,
            scheduler: scheduler.clone(),
            ..kv_store::LogOptions::default()
        };
        // A small memtable, for the follower. No background checkpoint keeps the owner within it.
        let store = StoreOptions {
            checkpoint_record_bytes: 5_000,
            slow_thresholds: u32::MAX,
            wait_thresholds: u32::MAX,
            slow_unmerged_parts: usize::MAX,
            scheduler,
            ..StoreOptions::default()
        };
        Options { store, log, ..Options::default() }.reader(self.reader)
    }

    fn open(&mut self) {
        let store = self.options().open_in(self.disk.vfs()).unwrap();
        self.history.cut(store.recovery().position);
        self.salt += 1;
        self.store = Some(store);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn durable(&self) -> Lsn {
        self.store().stats().log.durable
    }

    fn write(&mut self, durability: Durability) {
        write(self.store.as_ref().unwrap(), self.salt, durability).unwrap();
        self.history.push(self.salt);
    }

    fn put(&mut self, records: u64) {
        (0..records).for_each(|_| self.write(Durability::Disk));
    }

    fn checkpoint(&mut self) {
        self.put(1);
        self.store().checkpoint().unwrap().unwrap();
    }

    /// Ends the process, as a kill does, and starts another one, which has the same kernel.
    fn be_killed(&mut self) {
        let killed = self.disk.killed();
        self.disk.fail(Fault::on_changes().for_ever()); // what the old process does last
        self.store = None;
        self.disk.heal();
        assert_eq!(self.disk.files(), killed.files());
        self.open();
    }

    /// The log fails in a flush: the kernel shows records that the disk does not have.
    fn fail_to_flush(&mut self) {
        self.disk.fail(Fault::on(Kind::Sync).of(".wal").forgetful().for_ever());
        let (store, salt) = (self.store.as_ref().unwrap(), self.salt);
        write(store, salt, Durability::Process).unwrap();
        self.history.push(salt);
        write(store, salt, Durability::Disk).unwrap_err();
    }
}

type Act = fn(&mut Owner);

const ACTS: [(&str, Act); 9] = [
    ("writes", |owner| owner.put(2)),
    ("makes a checkpoint", Owner::checkpoint),
    ("trims the log", |owner| (0..3).for_each(|_| owner.checkpoint())),
    ("merges", |owner| {
        owner.put(1);
        owner.store().compact().unwrap().unwrap();
    }),
    ("trims, merges and goes on", |owner| {
        (0..2).for_each(|_| owner.checkpoint());
        owner.put(1);
        owner.store().compact().unwrap().unwrap();
        owner.put(60);
        owner.checkpoint();
        owner.put(3);
    }),
    ("is killed", |owner| {
        owner.write(Durability::Process);
        owner.be_killed();
    }),
    ("is killed and goes on", |owner| {
        owner.write(Durability::Process);
        owner.be_killed();
        owner.put(2);
        owner.checkpoint();
    }),
    ("closes and goes on", |owner| {
        owner.store().close().unwrap();
        owner.store = None;
        owner.open();
        owner.put(2);
    }),
    ("fails to flush and goes on with other records", |owner| {
        owner.fail_to_flush();
        owner.be_killed();
        owner.put(3);
        (0..2).for_each(|_| owner.checkpoint());
    }),
];

/// Has the owner act between the operations of a follower.
#[derive(Clone)]
struct Interruption {
    owner: Arc<Mutex<Owner>>,
    /// What the owner does next, each after that many more operations.
    acts: Arc<Mutex<VecDeque<(u64, Act)>>>,
}

impl Interruption {
    /// An owner with a few checkpoints and a tail.
    fn new(seed: u64, reader: Reader) -> Self {
        let mut owner = Owner::new(seed, reader);
        owner.put(12);
        (0..3).for_each(|_| owner.checkpoint());
        owner.put(5);
        Self { owner: Arc::new(Mutex::new(owner)), acts: Arc::default() }
    }

    fn owner(&self) -> MutexGuard<'_, Owner> {
        self.owner.lock().unwrap()
    }

    fn acts(&self) -> MutexGuard<'_, VecDeque<(u64, Act)>> {
        self.acts.lock().unwrap()
    }

    /// The act that is due at this operation, if any.
    fn due(&self) -> Option<Act> {
        let mut acts = self.acts();
        match acts.front_mut()? {
            (0, _) => acts.pop_front().map(|(_, act)| act),
            (left, _) => {
                *left -= 1;
                None
            }
        }
    }

    /// The owner's directory, for a follower.
    fn vfs(&self) -> Arc<dyn kv_store::Vfs> {
        let (this, disk) = (self.clone(), self.owner().disk.clone());
        let before = move |_: &_| {
            if let Some(act) = this.due() {
                act(&mut this.owner());
            }
        };
        TestVfs::before(disk.vfs(), before).unwrap()
    }

    /// Ends the interruptions, and checks what the follower shows now and after a refresh. Returns
    /// how many acts were not reached.
    fn check(&self, follower: &Follower, context: &str) -> usize {
        let left = std::mem::take(&mut *self.acts()).len();
        let owner = &mut *self.owner();
        check(follower, &owner.history);
        assert!(follower.position() <= owner.durable(), "{context}");
        owner.put(1);
        let refreshed = follower.refresh().unwrap_or_else(|error| panic!("{context}: {}", error.chain()));
        assert_eq!(refreshed, owner.durable(), "{context}");
        check(follower, &owner.history);
        assert!(follower.bad_checkpoint().is_none(), "{context}");
        left
    }
}

/// Runs `follow` with each act at each of its operations in turn.
fn interrupt_everywhere(reader: Reader, follow: impl Fn(&Interruption, Act, u64) -> Follower) {
    let mut interruptions = 0;
    for (name, act) in ACTS {
        for at in 0.. {
            let interruption = Interruption::new(at, reader);
            let follower = follow(&interruption, act, at);
            if interruption.check(&follower, &format!("the owner {name} at {at}")) > 0 {
                break;
            }
            interruptions += 1;
        }
    }
    assert!(interruptions > 300, "{interruptions} are too few");
}

fn open(interruption: &Interruption, act: Act, at: u64) -> Follower {
    let vfs = interruption.vfs();
    let options = interruption.owner().options();
    interruption.acts().push_back((at, act));
    options.follow_in(vfs).unwrap()
}

/// Opens a follower, and then has the owner write, so that there is something to refresh.
fn open_and_fall_behind(interruption: &Interruption) -> Follower {
    let vfs = interruption.vfs();
    let options = interruption.owner().options();
    let follower = options.follow_in(vfs).unwrap();
    let owner = &mut *interruption.owner();
    owner.put(4);
    owner.checkpoint();
    owner.put(4);
    follower
}

#[test]
fn the_owner_may_do_anything_while_a_follower_opens() {
    interrupt_everywhere(Reader::Mapped, open);
}

#[test]
fn the_owner_may_do_anything_while_a_follower_without_maps_opens() {
    interrupt_everywhere(Reader::Pread { cache_bytes: 20_000 }, open);
}

#[test]
fn the_owner_may_do_anything_while_a_follower_refreshes() {
    interrupt_everywhere(Reader::Mapped, |interruption, act, at| {
        let follower = open_and_fall_behind(interruption);
        interruption.acts().push_back((at, act));
        follower.refresh().unwrap();
        follower
    });
}

/// Where one act makes a follower start again, another one may come before it has.
#[test]
fn the_owner_may_act_again_while_a_follower_deals_with_what_it_did() {
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let interruption = Interruption::new(seed, Reader::Mapped);
        let follower = open_and_fall_behind(&interruption);
        let mut names = Vec::new();
        for _ in 0..rng.usize(2..5) {
            let (name, act) = ACTS[rng.usize(..ACTS.len())];
            interruption.acts().push_back((rng.u64(..25), act));
            names.push(name);
        }
        follower.refresh().unwrap_or_else(|error| panic!("{seed}: {names:?}: {}", error.chain()));
        interruption.check(&follower, &format!("{seed}: {names:?}"));
    }
}

#[test]
fn at_random_moments_a_follower_shows_what_the_store_showed_and_no_crash_takes_it_back() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut owner = Owner::new(seed, Reader::Mapped);
        let mut follower = owner.options().follow_in(owner.disk.vfs()).unwrap();
        let mut kept = Vec::new();
        for _ in 0..60 {
            match rng.u8(..10) {
                0..4 => owner.put(rng.u64(..4)),
                4 => owner.write(Durability::Process),
                5..7 => ACTS[rng.usize(..ACTS.len())].1(&mut owner),
                7 => kept.push(follower.snapshot()),
                8 => {
                    follower.refresh().unwrap();
                    check(&follower, &owner.history);
                    let shown = follower.position();
                    owner.disk = owner.disk.power_cut(rng.u64(..100));
                    owner.store = None;
                    owner.open();
                    assert!(owner.store().recovery().position >= shown, "seed {seed}: {shown} was taken back");
                    check(&follower, &owner.history);
                    follower = owner.options().follow_in(owner.disk.vfs()).unwrap();
                }
                _ => {
                    owner.store().sync().unwrap();
                    let before = follower.position();
                    assert_eq!(follower.refresh().unwrap(), owner.durable());
                    assert!(follower.position() >= before, "seed {seed}: it went back");
                }
            }
            check(&follower, &owner.history);
        }
        for snapshot in kept {
            let expected = crate::history::Expected::of(&owner.history, snapshot.position());
            assert!(crate::history::content(&snapshot).unwrap() == expected, "a snapshot has changed");
        }
    }
}
