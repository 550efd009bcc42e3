//! Snapshots and ordered scans: in memory, in a checkpoint, and with a tenth of the entries changed
//! since, which is in memory or in a second part. One iteration is one scan.

use std::{cell::Cell, hint::black_box, ops::ControlFlow};

use criterion::{Criterion, Throughput};
use kv_bench::{COLLECTION, entries, key, load, mixed, scratch, value, without_checkpoints};
use kv_store::{Collection, Entry, Result, Store};

use crate::SCRATCH;

const RANGE_ENTRIES: usize = 100;

pub fn bench(criterion: &mut Criterion) {
    let directory = scratch(SCRATCH);
    let store = without_checkpoints().open(directory.path().join("store")).unwrap();
    // Done by the first benchmark that the filter selects.
    let [filled, checkpointed, changed, stacked] = [const { Cell::new(false) }; 4];
    let fill_once = || {
        if !filled.replace(true) {
            load(&store, entries());
        }
    };
    let checkpoint_once = || {
        if !checkpointed.replace(true) {
            fill_once();
            store.checkpoint().unwrap();
        }
    };
    let change_once = || {
        if !changed.replace(true) {
            checkpoint_once();
            change_a_tenth(&store);
        }
    };
    let stack_once = || {
        if !stacked.replace(true) {
            change_once();
            store.checkpoint().unwrap();
        }
    };
    scan("scan/memory", &store, &fill_once, criterion);
    scan("scan/checkpoint", &store, &checkpoint_once, criterion);
    scan("scan/changed in memory", &store, &change_once, criterion);
    scan("scan/changed in a part", &store, &stack_once, criterion);
}

fn change_a_tenth(store: &Store) {
    let collection = store.collection(COLLECTION).unwrap();
    for index in (0..entries()).step_by(10) {
        collection.put(key(index), value(!index)).unwrap();
    }
}

fn scan(name: &str, store: &Store, prepare: &dyn Fn(), criterion: &mut Criterion) {
    let collection = store.collection(COLLECTION).unwrap();
    let mut group = criterion.benchmark_group(name);
    let mut round = 0;
    let mut next_key = || {
        round += 1;
        key(mixed(round) % entries())
    };
    group.bench_function("snapshot, taken and dropped", |bencher| {
        prepare();
        bencher.iter(|| black_box(store.snapshot().position()));
    });
    group.bench_function("first", |bencher| {
        prepare();
        bencher.iter(|| black_box(collection.first().unwrap()));
    });
    group.throughput(Throughput::Elements(RANGE_ENTRIES as u64));
    group.bench_function("range of 100", |bencher| {
        prepare();
        bencher.iter(|| bytes(collection.range(next_key()..).take(RANGE_ENTRIES)));
    });
    group.bench_function("range of 100, in place", |bencher| {
        prepare();
        bencher.iter(|| bytes_in_place(&collection, &next_key(), RANGE_ENTRIES));
    });
    group.bench_function("range of 100, backwards", |bencher| {
        prepare();
        bencher.iter(|| bytes(collection.range(..next_key()).rev().take(RANGE_ENTRIES)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("prefix of two bytes", |bencher| {
        prepare();
        bencher.iter(|| bytes(collection.prefix(&next_key()[..2])));
    });
    group.sample_size(10).throughput(Throughput::Elements(entries()));
    group.bench_function("all", |bencher| {
        prepare();
        bencher.iter(|| bytes(collection.iter()));
    });
    group.bench_function("all, in place", |bencher| {
        prepare();
        bencher.iter(|| bytes_in_place(&collection, b"", usize::MAX));
    });
    group.finish();
}

fn bytes(entries: impl Iterator<Item = Result<Entry>>) -> usize {
    entries.map(|entry| entry.unwrap().value.len()).sum()
}

/// The same for up to `count` entries from a key on, without handles.
fn bytes_in_place(collection: &Collection, from: &[u8], count: usize) -> usize {
    let (mut entries, mut bytes) = (0, 0);
    let read = |_: &[u8], value: &[u8]| {
        entries += 1;
        bytes += value.len();
        if entries == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    collection.scan_with(from.., read).unwrap();
    bytes
}
