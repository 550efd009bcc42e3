//! bench: what this machine and its disk are good for, in about 20 seconds and in plain words.

mod disk;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use kv_store::{Collection, Durability, Options, Store};

use crate::{
    env::Env,
    failure::{Context, Failure},
    interrupt::Interrupt,
    output::{duration, grouped, rate},
};

pub const HELP: &str = "\
It measures on the disk of the store, in a new directory beside it that is
removed at the end, and never touches the store. The figures are those of one
short run: other work on the machine changes them.

Whether a disk keeps what it has flushed when the power fails can only be seen
by cutting the power. But a flush that takes no time is a bad sign.";

/// The entries of the store that is measured.
const VALUE_BYTES: usize = 100;
const THREADS: u64 = 8;
/// A store larger than this would only measure longer.
const ENTRIES_MAX: u64 = 2_000_000;

#[derive(Debug, clap::Args)]
pub struct Bench {
    /// About how long it may take
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

pub fn run(env: &mut Env<'_>, args: &Bench) -> Result<(), Failure> {
    let interrupt = Interrupt::watch().doing(|| "cannot watch for signals".into())?;
    let dir = Directory::beside(env.dir())?;
    // There are six measurements; the flushes and the store each have some overhead.
    let time = Duration::from_secs(args.seconds) / 7;
    env.print(format_args!("A benchmark of kv beside {}, about {} s\n", dir.beside.display(), args.seconds))?;
    env.out.flush().map_err(Failure::Output)?;
    let mut bench = Run { env, interrupt: &interrupt, time };

    let flushes = disk::flushes(&dir.path, time, &interrupt)?;
    bench.line("flush", &flushes.to_string())?;
    let store = Options::default().open(dir.path.join("store")).doing(|| "cannot create a store".into())?;
    let written = bench.writes(&store)?;
    bench.reads(&store, written)?;
    bench.reopen(store, &dir.path.join("store"))?;
    let verdict = flushes.verdict(&dir.path);
    bench.env.print(format_args!("\n{verdict}"))
}

/// A new directory beside the store, which is removed at the end.
struct Directory {
    beside: PathBuf,
    path: PathBuf,
}

impl Directory {
    fn beside(store: &Path) -> Result<Self, Failure> {
        let beside = std::path::absolute(store).doing(|| format!("cannot find {}", store.display()))?;
        let name = beside.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = beside.with_file_name(format!("{name}-bench-{}", std::process::id()));
        fs::create_dir(&path).doing(|| format!("cannot create {}", path.display()))?;
        Ok(Self { beside, path })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

struct Run<'e, 'a> {
    env: &'e mut Env<'a>,
    interrupt: &'e Interrupt,
    /// How long each measurement takes.
    time: Duration,
}

impl Run<'_, '_> {
    fn line(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        self.env.print(format_args!("  {name:<10} {text}"))?;
        self.env.out.flush().map_err(Failure::Output)?;
        check(self.interrupt)
    }

    /// Writes in several ways, and returns how many entries there are for the reads.
    fn writes(&mut self, store: &Store) -> Result<u64, Failure> {
        let durable = store.collection("durable").doing(writing)?;
        let one = self.puts(&durable, 1)?;
        self.line("1 thread", &format!("{} durable puts/s: each waits for a flush", grouped(one.per_second())))?;
        let before = store.stats().flushes;
        let many = self.puts(&durable, THREADS)?;
        let after = store.stats().flushes;
        let flushes = (after.flushes - before.flushes).max(1);
        let shared = many.count as f64 / flushes as f64;
        let rate = grouped(many.per_second());
        self.line("8 threads", &format!("{rate} durable puts/s: about {shared:.1} of them share a flush"))?;

        let fast = store.collection("entries").doing(writing)?.with_durability(Durability::Process);
        let loaded = self.puts(&fast, 1)?;
        let text = "puts/s that survive a killed process, but wait for no flush";
        self.line("no waiting", &format!("{} {text}", grouped(loaded.per_second())))?;
        Ok(loaded.count)
    }

    fn puts(&self, collection: &Collection, threads: u64) -> Result<Measured, Failure> {
        let (started, time, interrupt) = (Instant::now(), self.time, self.interrupt);
        let put = |thread: u64| -> Result<u64, Failure> {
            let value = [b'v'; VALUE_BYTES];
            let mut count = 0;
            while started.elapsed() < time && interrupt.signal().is_none() && count < ENTRIES_MAX {
                collection.put(key(thread, count), value).doing(writing)?;
                count += 1;
            }
            Ok(count)
        };
        let counts = thread::scope(|scope| {
            let put = &put;
            let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || put(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).collect::<Result<Vec<u64>, _>>()
        })?;
        check(interrupt)?;
        Ok(Measured { count: counts.into_iter().sum(), time: started.elapsed() })
    }

    fn reads(&mut self, store: &Store, entries: u64) -> Result<(), Failure> {
        let collection = store.collection("entries").doing(reading)?;
        let started = Instant::now();
        let (mut count, mut random) = (0_u64, 1_u64);
        while started.elapsed() < self.time && self.interrupt.signal().is_none() {
            // Many at a time, so that looking at the clock does not count.
            for _ in 0..100 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let found = collection.get_with(key(0, (random >> 33) % entries.max(1)), <[u8]>::len).doing(reading)?;
                count += u64::from(found == Some(VALUE_BYTES));
            }
        }
        let gets = Measured { count, time: started.elapsed() };
        self.line("read", &format!("{} gets/s of random keys", grouped(gets.per_second())))?;

        let started = Instant::now();
        let mut count = 0;
        while started.elapsed() < self.time && self.interrupt.signal().is_none() {
            let each = |_: &[u8], _: &[u8]| -> ControlFlow<()> {
                count += 1;
                ControlFlow::Continue(())
            };
            collection.scan_with::<&[u8], ()>(.., each).doing(reading)?;
        }
        let scanned = Measured { count, time: started.elapsed() };
        self.line("scan", &format!("{} entries/s in order", grouped(scanned.per_second())))
    }

    fn reopen(&mut self, store: Store, path: &Path) -> Result<(), Failure> {
        let started = Instant::now();
        store.close().doing(|| "cannot close the store".into())?;
        drop(store);
        let closed = started.elapsed();
        let started = Instant::now();
        let store = Options::default().create(false).open(path).doing(|| "cannot open the store".into())?;
        let opened = started.elapsed();
        drop(store);
        self.line("close", &format!("{} with everything in the log; then open: {}", duration(closed), duration(opened)))
    }
}

fn writing() -> String {
    "cannot write to the store".into()
}

fn reading() -> String {
    "cannot read from the store".into()
}

fn key(thread: u64, number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&thread.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

struct Measured {
    count: u64,
    time: Duration,
}

impl Measured {
    fn per_second(&self) -> u64 {
        rate(self.count, self.time)
    }
}

/// Ends the benchmark if a signal has come.
fn check(interrupt: &Interrupt) -> Result<(), Failure> {
    match interrupt.signal() {
        Some(signal) => {
            Err(Failure::Interrupted { line: "interrupted: the benchmark has removed its files".into(), signal })
        }
        None => Ok(()),
    }
}
