//! Loading many entries in batches, with one flush at the end. One iteration is one batch.

use std::time::Instant;

use criterion::{Criterion, SamplingMode, Throughput};
use kv_bench::{BATCH_ENTRIES, fill, scratch};
use kv_store::{Batch, Durability, Options};

use crate::SCRATCH;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(BATCH_ENTRIES));
    group.bench_function("batches of 1000, then sync", |bencher| {
        bencher.iter_custom(|batches| {
            let directory = scratch(SCRATCH);
            let options = Options::default().durability(Durability::Process);
            let store = options.open(directory.path().join("store")).unwrap();
            let mut batch = Batch::new();
            let start = Instant::now();
            for first in (0..batches).map(|batch| batch * BATCH_ENTRIES) {
                fill(&mut batch, first..first + BATCH_ENTRIES);
                store.write(&batch).unwrap();
            }
            store.sync().unwrap();
            start.elapsed()
        });
    });
    group.finish();
}
