//! Gets of uniformly chosen keys, in memory and in a checkpoint. In one iteration every thread gets
//! one key, or 32 at once.

use std::{cell::Cell, hint::black_box, ops::Range};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use kv_bench::{COLLECTION, entries, key, load, mixed, scratch, together, without_checkpoints};
use kv_store::Store;

use crate::SCRATCH;

/// The number of keys in a `get_many`.
const MANY: u64 = 32;

pub fn bench(criterion: &mut Criterion) {
    let directory = scratch(SCRATCH);
    let store = without_checkpoints().open(directory.path().join("store")).unwrap();
    let filled = Cell::new(false); // filled by the first benchmark that the filter selects
    let fill_once = || {
        if !filled.replace(true) {
            load(&store, entries());
        }
    };
    get_from("get/memory", &store, &fill_once, criterion);
    let checkpointed = Cell::new(false);
    let checkpoint_once = || {
        if !checkpointed.replace(true) {
            fill_once();
            store.checkpoint().unwrap();
        }
    };
    get_from("get/checkpoint", &store, &checkpoint_once, criterion);
}

fn get_from(name: &str, store: &Store, prepare: &dyn Fn(), criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(name);
    let entries = entries();
    for threads in [1, 2] {
        get_by(threads, 0..entries, BenchmarkId::new("present, threads", threads), store, prepare, &mut group);
    }
    get_by(1, entries..2 * entries, BenchmarkId::new("absent, threads", 1), store, prepare, &mut group);
    get_many(entries, store, prepare, &mut group);
    group.finish();
}

fn get_many(entries: u64, store: &Store, prepare: &dyn Fn(), group: &mut BenchmarkGroup<'_, WallTime>) {
    group.throughput(Throughput::Elements(MANY));
    let collection = store.collection(COLLECTION).unwrap();
    let mut round = 0;
    group.bench_function("32 at once", |bencher| {
        prepare();
        bencher.iter(|| {
            round += 1;
            let keys: Vec<_> = (0..MANY).map(|at| key(mixed(round * MANY + at) % entries)).collect();
            black_box(collection.get_many(&keys).unwrap());
        });
    });
}

fn get_by(
    threads: u64,
    indexes: Range<u64>,
    id: BenchmarkId,
    store: &Store,
    prepare: &dyn Fn(),
    group: &mut BenchmarkGroup<'_, WallTime>,
) {
    group.throughput(Throughput::Elements(threads));
    let collection = store.collection(COLLECTION).unwrap();
    group.bench_function(id, |bencher| {
        prepare();
        let mut rounds_before = 0; // so that each sample gets other keys, which no cache holds
        bencher.iter_custom(|rounds| {
            let elapsed = together(threads, rounds, |thread, round| {
                let random = mixed((rounds_before + round) * threads + thread);
                let index = indexes.start + random % (indexes.end - indexes.start);
                black_box(collection.get(key(index)).unwrap());
            });
            rounds_before += rounds;
            elapsed
        });
    });
}
