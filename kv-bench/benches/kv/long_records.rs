//! What it takes to give a file its space and to fill it with long records, by each way to get the
//! space: reserving it, and writing zeroes, block by block (as for records that are copied into
//! maps) or in large pieces. The log reserves the space for long records.

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use kv_bench::scratch;
use kv_vfs::{File, OsVfs, Result, Vfs};

use crate::SCRATCH;

const FILE_BYTES: u64 = 16 << 20;
const RECORD_BYTES: u64 = 64 << 10;
const PIECE_BYTES: usize = 256 << 10;

type Allocate = fn(&dyn File) -> Result<()>;

pub fn bench(criterion: &mut Criterion) {
    let directory = scratch(SCRATCH);
    let vfs = OsVfs::open(directory.path()).unwrap();
    let ways: [(&str, Allocate); 3] = [
        ("reserved", |file| file.reserve(0, FILE_BYTES)),
        ("zeroes block by block", |file| file.write_zeroes(0, FILE_BYTES)),
        ("zeroes in large pieces", |file| {
            let piece = vec![0; PIECE_BYTES];
            (0..FILE_BYTES).step_by(PIECE_BYTES).try_for_each(|at| file.write_all_at(&piece, at))
        }),
    ];
    let mut group = criterion.benchmark_group("long records");
    group.throughput(Throughput::Bytes(FILE_BYTES)).sampling_mode(SamplingMode::Flat).sample_size(10);
    let create = || {
        let _ = vfs.remove("file"); // of the last iteration
        vfs.create("file").unwrap()
    };
    let allocated = |allocate: Allocate| {
        let file = create();
        allocate(&*file).and_then(|()| file.sync_data()).unwrap();
        file
    };
    for (name, allocate) in ways {
        group.bench_function(format!("{name}, and one flush"), |bencher| {
            bencher.iter_batched(
                create,
                |file| {
                    allocate(&*file).and_then(|()| file.sync_data()).unwrap();
                    write(&*file, false);
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{name} before, a flush each"), |bencher| {
            bencher.iter_batched(|| allocated(allocate), |file| write(&*file, true), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Fills the file with records, and flushes after each or once.
fn write(file: &dyn File, flushes_each: bool) {
    let record = vec![7; RECORD_BYTES as usize];
    for at in (0..FILE_BYTES).step_by(RECORD_BYTES as usize) {
        file.write_all_at(&record, at).unwrap();
        if flushes_each {
            file.sync_data().unwrap();
        }
    }
    file.sync_data().unwrap();
}
