//! What an owner may do while a follower opens, refreshes and reads.

use std::sync::{Arc, Mutex, MutexGuard};

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

/// Has the owner act once, a number of operations from now.
#[derive(Clone)]
struct Interruption {
    owner: Arc<Mutex<Owner>>,
    left: Arc<Mutex<Option<u64>>>,
}

impl Interruption {
    fn owner(&self) -> MutexGuard<'_, Owner> {
        self.owner.lock().unwrap()
    }

    fn left(&self) -> MutexGuard<'_, Option<u64>> {
        self.left.lock().unwrap()
    }

    /// The owner's directory, for a follower.
    fn vfs(&self, act: Act) -> Arc<dyn kv_store::Vfs> {
        let (this, disk) = (self.clone(), self.owner().disk.clone());
        let before = move |_: &_| {
            let left = this.left().take();
            match left {
                Some(0) => act(&mut this.owner()),
                Some(left) => *this.left() = Some(left - 1),
                None => {}
            }
        };
        TestVfs::before(disk.vfs(), before).unwrap()
    }
}

/// Runs `follow`, interrupted at each of its operations in turn. It gets a follower's options and
/// directory.
fn interrupt_everywhere(reader: Reader, follow: impl Fn(&Options, Arc<dyn kv_store::Vfs>, &Interruption) -> Follower) {
    let mut interruptions = 0;
    for (name, act) in ACTS {
        for at in 0.. {
            let mut owner = Owner::new(at, reader);
            owner.put(12);
            (0..3).for_each(|_| owner.checkpoint());
            owner.put(5);
            let options = owner.options();
            let interruption = Interruption { owner: Arc::new(Mutex::new(owner)), left: Arc::new(Mutex::new(None)) };
            let vfs = interruption.vfs(act);
            *interruption.left() = Some(at);
            let follower = follow(&options, vfs, &interruption);
            let is_over = interruption.left().take().is_some();
            let owner = &mut *interruption.owner();
            check(&follower, &owner.history);
            assert!(follower.position() <= owner.durable(), "the owner {name} at {at}");
            owner.put(1);
            let refreshed = follower.refresh().unwrap_or_else(|error| panic!("{name} at {at}: {}", error.chain()));
            assert_eq!(refreshed, owner.durable(), "the owner {name} at {at}");
            check(&follower, &owner.history);
            assert!(follower.bad_checkpoint().is_none(), "the owner {name} at {at}");
            if is_over {
                break;
            }
            interruptions += 1;
        }
    }
    assert!(interruptions > 300, "{interruptions} are too few");
}

#[test]
fn the_owner_may_do_anything_while_a_follower_opens() {
    interrupt_everywhere(Reader::Mapped, |options, vfs, _| options.follow_in(vfs).unwrap());
}

#[test]
fn the_owner_may_do_anything_while_a_follower_without_maps_opens() {
    let reader = Reader::Pread { cache_bytes: 20_000 };
    interrupt_everywhere(reader, |options, vfs, _| options.follow_in(vfs).unwrap());
}

#[test]
fn the_owner_may_do_anything_while_a_follower_refreshes() {
    interrupt_everywhere(Reader::Mapped, |options, vfs, interruption| {
        let at = interruption.left().take();
        let follower = options.follow_in(vfs).unwrap();
        {
            let owner = &mut *interruption.owner();
            owner.put(4);
            owner.checkpoint();
            owner.put(4);
        }
        *interruption.left() = at;
        follower.refresh().unwrap();
        follower
    });
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
