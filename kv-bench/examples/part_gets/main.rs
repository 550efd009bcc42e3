//! Gets from mapped parts beside gets from a hash table of offsets into an arena of the same
//! entries, in one run:
//!
//! ```text
//! cargo run --release -p kv-bench --example part_gets -- [ENTRIES [REPETITIONS]]
//! ```
//!
//! Every repetition measures all subjects, one after the other, so that what else the machine does
//! meets them all. Each figure is a median over the repetitions, of nanoseconds or of ratios within
//! one repetition.
//!
//! The table says how. When gets *overlap*, no key depends on a value, and the processor works on
//! several at once. When they are *dependent*, each key depends on the value before.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "it prints its figures")]

mod arena;
mod parts;

use std::{env, hint::black_box};

use kv_bench::{key, load, mixed, scratch, without_checkpoints};
use kv_core::Checkpoint;
use kv_snapshot::Table;
use kv_store::Collection;
use rustix::time::{ClockId, clock_gettime};

use crate::{arena::Arena, parts::COLLECTION};

/// The gets of one figure: as many as no cache of a core holds the entries of. They take so short a
/// time that whatever else the machine does meets most figures of a repetition alike.
const PROBES: u64 = 1 << 17;
/// The number of keys in a `get_many`.
const MANY: usize = 100;
/// The shares of the parts of a checkpoint, from the oldest to the newest.
const SHARES: [&[u64]; 3] = [&[1], &[100, 10, 3], &[100, 10, 10, 3, 3, 3, 3]];

type Keys = Vec<[u8; 16]>;
/// Nanoseconds for a get: overlapping, dependent, absent, and each of a `get_many`.
type Figures = [f64; 4];

/// Measures gets of present and of absent keys.
type Measure<'a> = dyn Fn(&Keys, &Keys) -> Figures + 'a;

struct Subject<'a> {
    name: String,
    measure: Box<Measure<'a>>,
}

/// `get` returns a byte of the value, and 0 if the key is absent.
fn subject<'a>(name: &str, get: impl Fn(&[u8]) -> u8 + 'a, get_many: impl Fn(&[&[u8]]) + 'a) -> Subject<'a> {
    let measure = move |present: &Keys, absent: &Keys| {
        [overlapping(present, &get), dependent(present, &get), overlapping(absent, &get), many(present, &get_many)]
    };
    Subject { name: name.to_owned(), measure: Box::new(measure) }
}

fn main() {
    let argument = |at| env::args().nth(at).map(|argument| argument.parse().unwrap());
    let (entries, repetitions) = (argument(1).unwrap_or_else(kv_bench::entries), argument(2).unwrap_or(31));
    let directory = scratch(env::current_exe().unwrap().parent().unwrap()); // which is on a disk
    let at = |name: &str| directory.path().join(name);
    let arena = Arena::filled(entries);
    let table = parts::table(directory.path(), entries);
    let checkpoints = SHARES.map(|shares| parts::checkpoint(&at(&shares.len().to_string()), entries, shares));
    let store = without_checkpoints().open(at("store")).unwrap();
    load(&store, entries);
    store.checkpoint().unwrap();
    let collection = store.collection(kv_bench::COLLECTION).unwrap();
    println!("{entries} entries, {:.2} B each on disk", checkpoints[0].stats().bytes as f64 / entries as f64);

    let mut subjects = vec![of_arena(&arena)];
    subjects.extend(of_table(&table));
    subjects.extend(checkpoints.iter().flat_map(|checkpoint| of_checkpoint(&**checkpoint)));
    subjects.extend(of_collection(&collection));
    report(&subjects, &measured(&subjects, entries, repetitions));
}

fn of_arena(arena: &Arena) -> Subject<'_> {
    let get = |key: &[u8]| arena.get(key).map_or(0, |value| value[50]);
    subject("arena table", get, |keys| keys.iter().for_each(|key| _ = black_box(arena.get(key))))
}

fn of_table(table: &Table) -> [Subject<'_>; 2] {
    let many = |keys: &[&[u8]]| _ = black_box(table.get_many(keys).unwrap());
    let get_with = |key: &[u8]| table.get_with(key, |value| value[50]).unwrap().unwrap_or(0);
    let get = |key: &[u8]| table.get(key).unwrap().map_or(0, |value| value[50]);
    [subject("table, get_with", get_with, many), subject("table, get", get, many)]
}

fn of_checkpoint(checkpoint: &dyn Checkpoint) -> [Subject<'_>; 2] {
    let many = |keys: &[&[u8]]| _ = black_box(checkpoint.get_many(COLLECTION, keys).unwrap());
    let get_with = |key: &[u8]| {
        let mut byte = 0;
        checkpoint.get_with(COLLECTION, key, &mut |value| byte = value[50]).unwrap();
        byte
    };
    let get = |key: &[u8]| checkpoint.get(COLLECTION, key).unwrap().map_or(0, |value| value[50]);
    let name = |verb| format!("checkpoint of {} parts, {verb}", checkpoint.stats().parts);
    [subject(&name("get_with"), get_with, many), subject(&name("get"), get, many)]
}

fn of_collection(collection: &Collection) -> [Subject<'_>; 2] {
    let many = |keys: &[&[u8]]| _ = black_box(collection.get_many(keys).unwrap());
    let get_with = |key: &[u8]| collection.get_with(key, |value| value[50]).unwrap().unwrap_or(0);
    let get = |key: &[u8]| collection.get(key).unwrap().map_or(0, |value| value[50]);
    [subject("store of 1 part, get_with", get_with, many), subject("store of 1 part, get", get, many)]
}

/// The figures of each subject, in each repetition.
fn measured(subjects: &[Subject<'_>], entries: u64, repetitions: u64) -> Vec<Vec<Figures>> {
    let mut figures = vec![Vec::new(); subjects.len()];
    for repetition in 0..repetitions {
        let keys = |first| (0..PROBES).map(|at| key(first + mixed(repetition * PROBES + at) % entries)).collect();
        let (present, absent) = (keys(0), keys(entries));
        for (figures, subject) in figures.iter_mut().zip(subjects) {
            figures.push((subject.measure)(&present, &absent));
        }
    }
    figures
}

fn report(subjects: &[Subject<'_>], figures: &[Vec<Figures>]) {
    println!(
        "nanoseconds a get (ratio to the same of the arena table; absent: to its overlapping get of present keys; \
         get_many: to a single get of the same subject)"
    );
    println!("| | overlapping | dependent | absent | get_many of {MANY} |\n|---|---|---|---|---|");
    for (subject, own) in subjects.iter().zip(figures) {
        let figure = |column: usize, of: &[Figures], base: usize| {
            let nanoseconds = median(own.iter().map(|own| own[column]));
            format!("{nanoseconds:.0} ({:.2})", median(own.iter().zip(of).map(|(own, of)| own[column] / of[base])))
        };
        let arena = &figures[0];
        let row = [figure(0, arena, 0), figure(1, arena, 1), figure(2, arena, 0), figure(3, own, 0)];
        println!("| {} | {} |", subject.name, row.join(" | "));
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn overlapping(keys: &Keys, get: impl Fn(&[u8]) -> u8) -> f64 {
    timed(keys, || _ = black_box(keys.iter().map(|key| u64::from(get(key))).sum::<u64>()))
}

fn dependent(keys: &Keys, get: impl Fn(&[u8]) -> u8) -> f64 {
    let zero = black_box(0); // which the compiler does not know
    timed(keys, || {
        let mut last = 0;
        for at in 0..keys.len() {
            last = get(&keys[at + (last & zero)]).into();
        }
        black_box(last);
    })
}

fn many(keys: &Keys, get_many: impl Fn(&[&[u8]])) -> f64 {
    timed(keys, || {
        for keys in keys.chunks(MANY) {
            get_many(&keys.iter().map(|key| &key[..]).collect::<Vec<_>>());
        }
    })
}

/// Nanoseconds for each of `keys`, without the time in which other threads had the processor.
fn timed(keys: &Keys, work: impl FnOnce()) -> f64 {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
    };
    let start = now();
    work();
    (now() - start) / keys.len() as f64
}
