//! The limits of puts on this machine: a plain loop that writes a record and flushes it, and one
//! that only writes.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use criterion::{Criterion, Throughput};
use kv_bench::scratch;

use crate::SCRATCH;

const RECORD_BYTES: usize = 128;
const FILE_BYTES: usize = 16 << 20;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(1));
    for (name, flush) in [("pwrite + fdatasync", true), ("pwrite", false)] {
        group.bench_function(name, |bencher| {
            let directory = scratch(SCRATCH);
            let file = zero_filled(&directory.path().join("file"));
            let record = [7; RECORD_BYTES];
            let mut offset = 0;
            bencher.iter(|| {
                file.write_all_at(&record, offset).unwrap();
                if flush {
                    file.sync_data().unwrap();
                }
                offset = (offset + RECORD_BYTES as u64) % FILE_BYTES as u64;
            });
        });
    }
    group.finish();
}

fn zero_filled(path: &Path) -> File {
    let file = File::create_new(path).unwrap();
    file.write_all_at(&vec![0; FILE_BYTES], 0).unwrap();
    file.sync_all().unwrap();
    file
}
