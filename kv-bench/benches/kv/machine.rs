//! The limits of puts on this machine: a plain loop that writes a record and flushes it, by the
//! page cache or past it, and one that only writes.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use criterion::{Criterion, Throughput};
use kv_bench::scratch;
use rustix::fs::OFlags;

use crate::SCRATCH;

const RECORD_BYTES: usize = 128;
const BLOCK_BYTES: usize = 4096;
const FILE_BYTES: usize = 16 << 20;

/// What is written past the page cache has to be aligned.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

pub fn bench(criterion: &mut Criterion) {
    let block = Block([7; BLOCK_BYTES]);
    let (record, block) = (&block.0[..RECORD_BYTES], &block.0[..]);
    let past_the_cache = OFlags::DIRECT | OFlags::DSYNC;
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(1));
    for (name, flags, bytes, flush) in [
        ("pwrite + fdatasync", OFlags::empty(), record, true),
        ("pwrite + fdatasync of a block", OFlags::empty(), block, true),
        ("O_DIRECT | O_DSYNC of a block", past_the_cache, block, false),
        ("pwrite", OFlags::empty(), record, false),
    ] {
        group.bench_function(name, |bencher| {
            let directory = scratch(SCRATCH);
            let path = directory.path().join("file");
            fill(&path);
            let file = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(&path).unwrap();
            let mut offset = 0;
            bencher.iter(|| {
                file.write_all_at(bytes, offset).unwrap();
                if flush {
                    file.sync_data().unwrap();
                }
                offset = (offset + bytes.len() as u64) % FILE_BYTES as u64;
            });
        });
    }
    group.finish();
}

fn fill(path: &Path) {
    let file = File::create_new(path).unwrap();
    file.write_all_at(&vec![0; FILE_BYTES], 0).unwrap();
    file.sync_all().unwrap();
}
