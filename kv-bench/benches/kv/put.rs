//! Single puts at both levels of durability. Each thread waits for its own puts. In one iteration
//! every thread does one put. For durable puts it also prints how many of them shared a flush.

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use kv_bench::{COLLECTION, entries, key, scratch, together, value};
use kv_store::{Durability, FlushStats, Options, Store};

use crate::SCRATCH;

pub fn bench(criterion: &mut Criterion) {
    for (name, durability) in [("put/disk", Durability::Disk), ("put/process", Durability::Process)] {
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).sample_size(20);
        for threads in [1, 2, 4, 8, 16, 32, 64] {
            group.throughput(Throughput::Elements(threads));
            group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
                let directory = scratch(SCRATCH);
                let store = Options::default().durability(durability).open(directory.path().join("store")).unwrap();
                let collection = store.collection(COLLECTION).unwrap();
                let entries = entries();
                let mut rounds_before = 0;
                bencher.iter_custom(|rounds| {
                    let elapsed = together(threads, rounds, |thread, round| {
                        let index = (thread + (rounds_before + round) * threads) % entries;
                        collection.put(key(index), value(index)).unwrap();
                    });
                    rounds_before += rounds;
                    elapsed
                });
                print_groups(&store);
            });
        }
        group.finish();
    }
}

#[expect(clippy::print_stdout, reason = "the size of groups is a result")]
fn print_groups(store: &Store) {
    let FlushStats { flushes, records, largest_group, .. } = store.stats().flushes;
    if flushes > 0 {
        println!("groups of {:.1} records on average, of {largest_group} at most", records as f64 / flushes as f64);
    }
}
