//! An owner in another process, over real files. It writes, makes checkpoints, trims and merges,
//! and is killed again and again, while followers in this process check what they see.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use kv_store::{Durability, Follower, Lsn, Options, Reader, StoreOptions};

use crate::history::{Expected, content, write};

const DIRECTORY: &str = "KV_FOLLOW_OWNS";

fn options() -> Options {
    let store = StoreOptions {
        checkpoint_record_bytes: 100_000,
        checkpoint_medium_bytes: 1 << 20,
        flush_interval: Duration::from_millis(5),
        rest_interval: Duration::from_millis(50),
        ..StoreOptions::default()
    };
    let log = kv_store::LogOptions {
        segment_bytes_max: 256 << 10,
        segment_bytes_min: 64 << 10,
        ..kv_store::LogOptions::default()
    };
    Options { store, log, ..Options::default() }
}

/// The owner: writes until it is killed, and says what was acknowledged as durable.
#[test]
#[ignore = "run by other tests in another process"]
#[expect(clippy::print_stdout, reason = "it tells the other process what is acknowledged")]
fn owner() {
    let Some(path) = std::env::var_os(DIRECTORY) else { return };
    let mut rng = fastrand::Rng::new();
    loop {
        let store = options().open(&path).unwrap();
        for _ in 0..rng.u32(100..3000) {
            let durability = if rng.u8(..3) == 0 { Durability::Disk } else { Durability::Process };
            let position = write(&store, 0, durability).unwrap();
            if durability == Durability::Disk {
                println!("{position}");
            }
            match rng.u16(..1000) {
                0..5 => drop(store.checkpoint().unwrap()),
                5 => drop(store.compact().unwrap()),
                6..9 => thread::sleep(Duration::from_millis(20)), // idle
                _ => {}
            }
        }
        match rng.bool() {
            true => store.close().unwrap(),
            false => drop(store),
        }
    }
}

fn start_owner(path: &Path) -> Child {
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner.args(["processes::owner", "--exact", "--ignored", "--nocapture"]);
    owner.env(DIRECTORY, path).stdout(Stdio::piped()).spawn().unwrap()
}

/// Follows, and compares what is shown at each position with the model, until it is over. Notes
/// the highest position that was shown.
fn witness(path: &Path, reader: Reader, acknowledged: &AtomicU64, shown: &AtomicU64, is_over: &AtomicBool) -> u64 {
    let options = options().reader(reader);
    let (mut follower, mut expected) = (options.follow(path).unwrap(), Expected::default());
    let (mut looks, mut rng) = (0, fastrand::Rng::new());
    while !is_over.load(Ordering::Acquire) {
        let floor = Lsn(acknowledged.load(Ordering::Acquire));
        let position = follower.refresh().unwrap_or_else(|error| panic!("{}", error.chain()));
        assert!(position >= floor, "{floor} was acknowledged, and it shows {position}");
        let snapshot = follower.snapshot();
        assert!(snapshot.position() == position);
        assert!(content(&snapshot).unwrap() == *expected.at(position, |_| 0), "another state at {position}");
        shown.fetch_max(position.0, Ordering::AcqRel);
        looks += 1;
        match rng.u8(..100) {
            0 => follower = options.follow(path).unwrap(),
            1 => thread::sleep(Duration::from_millis(100)), // so that the log is trimmed ahead of it
            2 => drop(follower.wait_for(position.next(), Duration::from_millis(10)).unwrap()),
            _ => {}
        }
    }
    looks
}

/// Runs the owner for that long, and notes what it acknowledges. Then kills it.
fn run_owner(path: &Path, time: Duration, acknowledged: &AtomicU64) {
    let mut owner = start_owner(path);
    let lines = BufReader::new(owner.stdout.take().unwrap());
    let began = Instant::now();
    let mut is_killed = false;
    for line in lines.lines() {
        if let Ok(position) = line.unwrap().parse() {
            acknowledged.fetch_max(position, Ordering::AcqRel);
        }
        if !is_killed && began.elapsed() > time {
            owner.kill().unwrap(); // what it has said before is read to the end
            is_killed = true;
        }
    }
    owner.wait().unwrap();
}

fn assert_same(follower: &Follower, position: Lsn) {
    assert_eq!(follower.refresh().unwrap(), position);
    assert!(content(&follower.snapshot()).unwrap() == *Expected::default().at(position, |_| 0));
}

#[test]
fn followers_are_right_beside_an_owner_that_is_killed_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    drop(options().open(&path).unwrap());
    let (acknowledged, shown, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let rounds = std::env::var("KV_FOLLOW_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    thread::scope(|scope| {
        let readers = [Reader::Mapped, Reader::Pread { cache_bytes: 100_000 }];
        let (path, acknowledged, shown, is_over) = (&path, &acknowledged, &shown, &is_over);
        let witnesses = readers.map(|reader| scope.spawn(move || witness(path, reader, acknowledged, shown, is_over)));
        for round in 0..rounds {
            run_owner(path, Duration::from_millis(200 + 97 * round % 700), acknowledged);
            if round % 2 == 0 {
                // What was shown survived the kill, and this opening continues.
                let store = options().open(path).unwrap();
                assert!(store.recovery().position.0 >= shown.load(Ordering::Acquire));
                let written = write(&store, 0, Durability::Disk).unwrap();
                acknowledged.fetch_max(written, Ordering::AcqRel);
            }
        }
        is_over.store(true, Ordering::Release);
        let looks: u64 = witnesses.into_iter().map(|witness| witness.join().unwrap()).sum();
        assert!(looks > 50, "{looks} looks are too few");
    });
    let store = options().open(&path).unwrap();
    store.sync().unwrap();
    let position = store.stats().log.durable;
    assert!(position.0 >= acknowledged.load(Ordering::Acquire) && position.0 > 500, "{position}");
    assert!(store.stats().checkpoint.is_some());
    assert_same(&options().follow(&path).unwrap(), position);
}
