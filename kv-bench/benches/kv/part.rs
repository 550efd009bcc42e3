//! Gets from a table file, which is mapped and cached, beside gets from a hash table of offsets
//! into an arena of the same entries: the least that a table in memory costs.
//!
//! Each is measured in two loops. In the one that *overlaps*, the keys do not depend on values, and
//! the processor works on several gets at once. In the *dependent* one, each key depends on the
//! value before.

use std::{
    cell::OnceCell,
    fs,
    hash::BuildHasher,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use kv_bench::{entries, key, mixed, scratch, value};
use kv_snapshot::{OsVfs, Table, TableWriter};

use crate::SCRATCH;

/// The number of keys in a `get_many`.
const MANY: usize = 32;
/// The keys of one sample are generated before it: as many as no cache holds the entries of.
const PROBES: u64 = 1 << 20;

pub fn bench(criterion: &mut Criterion) {
    let directory = scratch(SCRATCH);
    let (arena, table) = (OnceCell::new(), OnceCell::new()); // filled by the first that is selected
    let arena = || arena.get_or_init(|| Arena::filled(entries()));
    let table = || {
        table.get_or_init(|| {
            let path = directory.path().join("part");
            let table = write_table(&path, entries());
            report_size(&path);
            table
        })
    };
    let mut group = criterion.benchmark_group("part/get");
    for (what, first) in [("present", 0), ("absent", entries())] {
        for (how, dependent) in [("overlapping", false), ("dependent", true)] {
            let name = format!("{what}, {how}");
            gets(&format!("{name}: arena"), first, dependent, &mut group, || {
                let arena = arena();
                |key: &[u8]| arena.get(key).map_or(0, |value| value[50])
            });
            gets(&format!("{name}: part"), first, dependent, &mut group, || {
                let table = table();
                |key: &[u8]| table.get_with(key, |value| value[50]).unwrap().unwrap_or(0)
            });
        }
    }
    many(&mut group, table);
    group.finish();
}

fn gets<F: Fn(&[u8]) -> u8>(
    name: &str,
    first: u64,
    dependent: bool,
    group: &mut BenchmarkGroup<'_, WallTime>,
    prepare: impl Fn() -> F,
) {
    group.throughput(Throughput::Elements(1));
    let mut round = 0;
    group.bench_function(name, |bencher| {
        let get = prepare();
        bencher.iter_custom(|gets| {
            round += 1;
            let keys = probes(first, round);
            in_rounds(gets, &keys, |keys| if dependent { one_by_one(keys, &get) } else { overlapping(keys, &get) })
        });
    });
}

fn many<'a>(group: &mut BenchmarkGroup<'_, WallTime>, table: impl Fn() -> &'a Table) {
    let mut round = 0;
    group.bench_function("present, 32 at once, each: part", |bencher| {
        let table = table();
        bencher.iter_custom(|gets| {
            round += 1;
            let keys = probes(0, round);
            in_rounds(gets, &keys, |keys| {
                for keys in keys.chunks(MANY) {
                    let keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
                    black_box(table.get_many(&keys).unwrap());
                }
            })
        });
    });
}

/// Calls `get_all` with `count` keys altogether, and returns how long it took.
fn in_rounds(count: u64, keys: &[[u8; 16]], mut get_all: impl FnMut(&[[u8; 16]])) -> Duration {
    let start = Instant::now();
    let mut left = count as usize;
    while left > 0 {
        let now = left.min(keys.len());
        get_all(&keys[..now]);
        left -= now;
    }
    start.elapsed()
}

fn overlapping(keys: &[[u8; 16]], get: impl Fn(&[u8]) -> u8) {
    black_box(keys.iter().map(|key| u64::from(get(key))).sum::<u64>());
}

fn one_by_one(keys: &[[u8; 16]], get: impl Fn(&[u8]) -> u8) {
    let zero = black_box(0); // which the compiler does not know
    let mut last = 0;
    for at in 0..keys.len() {
        last = get(&keys[at + (last & zero)]).into();
    }
    black_box(last);
}

fn probes(first: u64, round: u64) -> Vec<[u8; 16]> {
    let entries = entries();
    (0..PROBES).map(|at| key(first + mixed(round * PROBES + at) % entries)).collect()
}

fn write_table(path: &std::path::Path, count: u64) -> Table {
    let mut sorted: Vec<_> = (0..count).map(|index| (key(index), index)).collect();
    sorted.sort_unstable();
    let vfs = OsVfs::open(path.parent().unwrap()).unwrap();
    let mut writer = TableWriter::create(vfs, path.file_name().unwrap().to_str().unwrap()).unwrap();
    for (key, index) in sorted {
        writer.insert(&key, &value(index)).unwrap();
    }
    let table = writer.finish().unwrap();
    table.verify().unwrap(); // so that no get verifies a block
    table
}

#[expect(clippy::print_stderr, reason = "a size is no duration, which criterion would report")]
fn report_size(path: &std::path::Path) {
    let bytes = fs::metadata(path).unwrap().len() as f64 / entries() as f64;
    eprintln!("part: {bytes:.2} bytes on disk for an entry of 116 bytes");
}

/// Entries one after the other, and a hash table of their offsets.
struct Arena {
    bytes: Vec<u8>,
    offsets: HashTable<u64>,
    hasher: FixedState,
}

impl Arena {
    const HEADER_BYTES: usize = 6;

    fn filled(count: u64) -> Self {
        let hasher = FixedState::with_seed(1);
        let (mut bytes, mut offsets) = (Vec::new(), HashTable::with_capacity(count as usize));
        for index in 0..count {
            let (key, value, offset) = (key(index), value(index), bytes.len() as u64);
            bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(&value);
            let hash_at = |offset: &u64| hasher.hash_one(Self::entry(&bytes, *offset).0);
            offsets.insert_unique(hasher.hash_one(&key[..]), offset, hash_at);
        }
        Self { bytes, offsets, hasher }
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let is_key = |offset: &u64| Self::entry(&self.bytes, *offset).0 == key;
        let offset = self.offsets.find(self.hasher.hash_one(key), is_key)?;
        Some(Self::entry(&self.bytes, *offset).1)
    }

    #[inline]
    fn entry(bytes: &[u8], offset: u64) -> (&[u8], &[u8]) {
        let (header, rest) = bytes[offset as usize..].split_first_chunk::<{ Self::HEADER_BYTES }>().unwrap();
        let key_bytes = u16::from_le_bytes([header[0], header[1]]).into();
        let value_bytes = u32::from_le_bytes([header[2], header[3], header[4], header[5]]) as usize;
        let (key, rest) = rest.split_at(key_bytes);
        (key, &rest[..value_bytes])
    }
}
