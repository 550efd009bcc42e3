//! The time from the opening of a store to its first get: after a clean close, after a kill, and
//! with a log that must be replayed in full. One iteration is one opening. The close is not
//! counted.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use kv_bench::{COLLECTION, entries, key, killed_image, load, scratch, value, without_checkpoints};

use crate::SCRATCH;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("after a clean close", |bencher| {
        let directory = scratch(SCRATCH);
        let path = directory.path().join("store");
        {
            let store = without_checkpoints().open(&path).unwrap();
            load(&store, entries());
            store.checkpoint().unwrap();
            store.close().unwrap();
        }
        bencher.iter_custom(|openings| (0..openings).map(|_| time_to_first_get(&path)).sum());
    });
    group.bench_function("after a kill, a tenth since the checkpoint", |bencher| {
        let directory = scratch(SCRATCH);
        let path = directory.path().join("store");
        let store = without_checkpoints().open(&path).unwrap();
        load(&store, entries());
        store.checkpoint().unwrap();
        let collection = store.collection(COLLECTION).unwrap();
        for index in 0..entries() / 10 {
            collection.put(key(index), value(!index)).unwrap();
        }
        bencher.iter_custom(|openings| {
            (0..openings)
                .map(|_| {
                    let image = scratch(SCRATCH);
                    let image_path = image.path().join("store");
                    killed_image(&path, &image_path);
                    time_to_first_get(&image_path)
                })
                .sum()
        });
    });
    group.finish();
    bench_replay(criterion);
}

fn bench_replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(entries()));
    group.bench_function("single puts", |bencher| {
        let directory = scratch(SCRATCH);
        let path = directory.path().join("store");
        {
            let store = without_checkpoints().open(&path).unwrap();
            let collection = store.collection(COLLECTION).unwrap();
            for index in 0..entries() {
                collection.put(key(index), value(index)).unwrap();
            }
            store.close().unwrap();
        }
        bencher.iter_custom(|openings| (0..openings).map(|_| time_to_first_get(&path)).sum());
    });
    group.finish();
}

fn time_to_first_get(path: &Path) -> Duration {
    let start = Instant::now();
    let store = without_checkpoints().open(path).unwrap();
    let found = store.collection(COLLECTION).unwrap().get(key(0)).unwrap();
    let elapsed = start.elapsed();
    assert!(found.is_some());
    elapsed
}
