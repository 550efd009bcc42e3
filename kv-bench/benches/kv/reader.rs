//! Gets of uniformly chosen keys from one checkpoint, read through maps, and with `pread`: through
//! a cache that holds everything, and through one that holds a tenth. The kernel has all pages in
//! memory, so what is not in the cache costs a system call, a copy and a checksum, and no disk.

use std::{cell::OnceCell, hint::black_box, ops::Bound, path::Path, sync::Arc};

use criterion::{Criterion, Throughput};
use kv_bench::{entries, key, load, mixed, scratch, without_checkpoints};
use kv_core::{Checkpoint, Checkpointer, CollectionId};
use kv_snapshot::{MmapCheckpointer, OsVfs, Reader, SnapshotOptions};

use crate::SCRATCH;

pub fn bench(criterion: &mut Criterion) {
    let directory = scratch(SCRATCH);
    let path = directory.path().join("store");
    let bytes = OnceCell::new(); // filled by the first benchmark that the filter selects
    let bytes = || *bytes.get_or_init(|| fill(&path));
    let mut group = criterion.benchmark_group("reader/get");
    group.throughput(Throughput::Elements(1));
    // With a cache of this share of what is read, in tenths.
    for (name, tenths) in
        [("mapped", None), ("pread, all in the cache", Some(20)), ("pread, a tenth in the cache", Some(1))]
    {
        let reader = || tenths.map_or(Reader::Mapped, |tenths| Reader::Pread { cache_bytes: bytes() / 10 * tenths });
        let mut at = 0;
        group.bench_function(name, |bencher| {
            bytes(); // fills the store
            let checkpoint = open(&path, reader());
            let collection = collection(&*checkpoint);
            let get = |index: u64| {
                let mut read = |value: &[u8]| {
                    black_box(value[50]);
                };
                checkpoint.get_with(collection, &key(index), &mut read)
            };
            (0..entries()).for_each(|index| assert!(get(index).unwrap())); // verified, and cached
            bencher.iter(|| {
                at += 1;
                get(mixed(at) % entries()).unwrap()
            });
        });
    }
    group.finish();
}

/// Returns the bytes of the checkpoint.
fn fill(path: &Path) -> u64 {
    let store = without_checkpoints().open(path).unwrap();
    load(&store, entries());
    store.compact().unwrap();
    let bytes = store.stats().checkpoint_size.bytes;
    store.close().unwrap();
    bytes
}

fn open(path: &Path, reader: Reader) -> Arc<dyn Checkpoint> {
    let vfs = OsVfs::open(path.join("checkpoints")).unwrap();
    let options = SnapshotOptions { reader, ..SnapshotOptions::default() };
    let checkpointer = MmapCheckpointer::open_with(vfs, options).unwrap();
    checkpointer.open(checkpointer.list().unwrap()[0]).unwrap()
}

fn collection(checkpoint: &dyn Checkpoint) -> CollectionId {
    let mut names = checkpoint.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded).unwrap();
    assert!(names.advance().unwrap());
    CollectionId::from_key(names.key()).unwrap()
}
