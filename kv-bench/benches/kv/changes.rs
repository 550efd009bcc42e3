//! The change feed, read from the log. One iteration reads all changes.

use criterion::{Criterion, SamplingMode, Throughput};
use kv_bench::{COLLECTION, entries, key, scratch, value, without_checkpoints};
use kv_store::Lsn;

use crate::SCRATCH;

pub fn bench(criterion: &mut Criterion) {
    let directory = scratch(SCRATCH);
    let store = without_checkpoints().open(directory.path().join("store")).unwrap();
    let records = entries().min(100_000);
    let mut group = criterion.benchmark_group("changes");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(records));
    group.bench_function("from the beginning", |bencher| {
        if store.stats().log.appended == Lsn::START {
            let collection = store.collection(COLLECTION).unwrap();
            (0..records).for_each(|index| collection.put(key(index), value(index)).unwrap());
            store.sync().unwrap();
        }
        bencher.iter(|| {
            let changes = store.changes(Lsn::START).unwrap().map(|record| record.unwrap().changes.len());
            assert!(changes.sum::<usize>() >= records as usize);
        });
    });
    group.finish();
}
