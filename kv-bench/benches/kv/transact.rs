//! Transactions that read and write, deferred commits, and puts into a collection that was scanned.
//! In one iteration every thread does one of these.

use std::{collections::VecDeque, time::Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use kv_bench::{COLLECTION, entries, key, mixed, scratch, together, value, without_checkpoints};
use kv_store::{Durability, Options};

use crate::SCRATCH;

/// How many deferred commits a thread has in flight.
const IN_FLIGHT: usize = 1000;

pub fn bench(criterion: &mut Criterion) {
    read_modify_write(criterion);
    deferred(criterion);
    put_where_scanned(criterion);
}

fn read_modify_write(criterion: &mut Criterion) {
    for (name, durability) in [("transact/disk", Durability::Disk), ("transact/process", Durability::Process)] {
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).sample_size(20);
        for threads in [1, 8] {
            group.throughput(Throughput::Elements(threads));
            group.bench_function(BenchmarkId::new("read, modify, write, threads", threads), |bencher| {
                let directory = scratch(SCRATCH);
                let store = Options::default().durability(durability).open(directory.path().join("store")).unwrap();
                bencher.iter_custom(|rounds| {
                    together(threads, rounds, |thread, round| {
                        let key = key(mixed(round * threads + thread) % 1000);
                        let done = store.transact(|tx| {
                            let old = tx.get(COLLECTION, key)?.map_or(0, |value| value[0]);
                            tx.put(COLLECTION, key, [old.wrapping_add(1); 100])
                        });
                        done.unwrap();
                    })
                });
            });
        }
        group.finish();
    }
}

fn deferred(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("put/deferred");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Elements(1));
    group.bench_function("disk, one thread, 1000 in flight", |bencher| {
        let directory = scratch(SCRATCH);
        let store = Options::default().open(directory.path().join("store")).unwrap();
        let collection = store.collection(COLLECTION).unwrap();
        bencher.iter_custom(|rounds| {
            let start = Instant::now();
            let mut in_flight = VecDeque::new();
            for round in 0..rounds {
                in_flight.push_back(collection.deferred().put(key(round % entries()), value(round)).unwrap());
                if in_flight.len() > IN_FLIGHT {
                    in_flight.pop_front().unwrap().wait().unwrap();
                }
            }
            in_flight.into_iter().for_each(|commit| commit.wait().unwrap());
            start.elapsed()
        });
    });
    group.finish();
}

fn put_where_scanned(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("put/new keys");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(1));
    for (name, scanned) in [("never scanned", false), ("scanned", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let directory = scratch(SCRATCH);
                let store = without_checkpoints().open(directory.path().join("store")).unwrap();
                let collection = store.collection(COLLECTION).unwrap();
                collection.put("first", "").unwrap();
                if scanned {
                    collection.first().unwrap();
                }
                let start = Instant::now();
                (0..rounds).for_each(|round| collection.put(key(round), value(round)).unwrap());
                start.elapsed()
            });
        });
    }
    group.finish();
}
