//! Files with correct checksums and wrong content. None of them may make a reader panic, hang or
//! reach outside the file.
#![expect(clippy::disallowed_methods, reason = "files are forged behind the file layer's back")]

use std::{fs, ops::Bound, path::Path, sync::Arc};

use fastrand::Rng;
use kv_core::{CheckpointId, CollectionId, Cursor, Epoch, Error, Lsn, Result};
use kv_vfs::{
    OsVfs, Vfs,
    little_endian::{get_u64, put_u64},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    error::DecodeError,
    format::{
        block::{BLOCK_BYTES, Block, checksum},
        content::ContentDigest,
        manifest::{Manifest, Origins, PARTS_MAX, PartRef},
        part::{Footer, Header, SECTION_BYTES, Section, Summary},
        tree::Tree,
    },
    read::{cursor::PartCursor, part::Part},
    verify::entries::verify_entries,
    write::part_writer::PartWriter,
};

fn small_part(vfs: &dyn Vfs) -> Vec<u8> {
    let mut writer =
        PartWriter::new(vfs.create("part").unwrap(), 1, 0x1234_5678_9abc_def0_1111_2222_3333_4444).unwrap();
    for index in 0..3 {
        writer.start_collection(CollectionId { lsn: Lsn(1), index }, 0, &mut || Ok(())).unwrap();
        for n in 0..index * 20 {
            let value = vec![b'v'; n as usize];
            writer.insert(format!("key {n:02}").as_bytes(), (n % 5 != 4).then_some(&value[..])).unwrap();
        }
    }
    writer.finish(&mut || Ok(())).unwrap();
    fs::read(vfs.path().join("part")).unwrap()
}

fn footer_of(file: &[u8]) -> (Footer, u64) {
    let first: &Block = file.first_chunk().unwrap();
    let seed = Header::decode(first).unwrap().seed();
    (Footer::decode(file.last_chunk::<BLOCK_BYTES>().unwrap(), seed).unwrap(), seed)
}

/// Corrects the checksums. The part is small: its tree is one block.
fn seal(file: &mut [u8], change: impl FnOnce(&mut Footer)) {
    let (mut footer, seed) = footer_of(file);
    let covered = footer.blocks_covered as usize;
    assert_eq!(Tree::new(covered as u64).end() as usize, covered + 1);
    let (data, rest) = file.split_at_mut(covered * BLOCK_BYTES);
    for (number, block) in data.chunks_exact(BLOCK_BYTES).enumerate() {
        put_u64(rest, number * 8, checksum(block, seed));
    }
    footer.root = checksum(&rest[..BLOCK_BYTES], seed);
    change(&mut footer);
    rest[BLOCK_BYTES..].copy_from_slice(&*footer.encode(seed));
}

/// Reads everything, in every way, and returns the first error.
fn read_all(vfs: &dyn Vfs) -> Result<()> {
    let part = Arc::new(Part::open(vfs, "part")?);
    let mut first = Ok(());
    let mut keep = |read: Result<()>| {
        if first.is_ok() {
            first = read;
        }
    };
    keep(verify_entries(&part));
    for section in part.sections() {
        for key in [&b"key 00"[..], b"key 07", b"key 39", b"key", b"z"] {
            keep(part.find(section, key).and_then(|entry| entry.map_or(Ok(()), |entry| part.value(entry).map(drop))));
            let cursor = PartCursor::new(part.clone(), *section, Bound::Included(key), Bound::Unbounded);
            keep(cursor.and_then(|mut cursor| {
                while cursor.advance()? {
                    assert!(!cursor.key().is_empty());
                }
                Ok(())
            }));
        }
    }
    first
}

fn is_typed(read: &Result<()>) -> bool {
    matches!(read, Ok(()) | Err(Error::Corrupt { .. } | Error::NewerVersion { .. }))
}

fn forge(vfs: &dyn Vfs, path: &Path, file: &[u8]) -> Result<()> {
    fs::write(path, file).unwrap();
    read_all(vfs)
}

#[test]
fn forged_parts() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let path = directory.path().join("part");
    let good = small_part(&*vfs);
    read_all(&*vfs).unwrap();
    let (footer, _) = footer_of(&good);
    let directory_start = footer.directory_offset as usize;
    let directory_end = directory_start + 3 * SECTION_BYTES;
    let mut rng = Rng::with_seed(5);
    let mut refused = 0;
    for round in 0..4000 {
        let mut file = good.clone();
        for _ in 0..rng.usize(1..3) {
            let in_directory = directory_start..directory_end;
            let anywhere = BLOCK_BYTES..directory_end;
            let at = rng.usize(if round % 2 == 0 { in_directory } else { anywhere });
            file[at] = rng.choice([0, 1, 127, 255, file[at] ^ 1, file[at].wrapping_add(8)]).unwrap();
        }
        seal(&mut file, |_| {});
        let read = forge(&*vfs, &path, &file);
        assert!(is_typed(&read), "round {round}: {read:?}");
        refused += usize::from(read.is_err());
    }
    assert!(refused > 2000, "only {refused} files were refused");
}

/// The place of the last collection's record, and that collection.
fn last_section(file: &[u8]) -> (usize, Section) {
    let at = footer_of(file).0.directory_offset as usize + 2 * SECTION_BYTES;
    let record = file[at..].first_chunk().unwrap();
    (at, Section::decode(record, u64::MAX).unwrap())
}

/// Changes a part, makes its checksums right again, and asserts that the verification of its
/// entries finds the change.
fn assert_found(vfs: &dyn Vfs, path: &Path, good: &[u8], what: &str, change: &dyn Fn(&mut Vec<u8>)) {
    let mut file = good.to_vec();
    change(&mut file);
    assert!(file != good, "{what}");
    seal(&mut file, |_| {});
    fs::write(path, &file).unwrap();
    let verified = Part::open(vfs, "part").and_then(|part| verify_entries(&part));
    assert!(matches!(verified, Err(Error::Corrupt { .. })), "{what}: {verified:?}");
}

/// What the index says must be what the entries say, in each way in which it can differ.
#[test]
fn an_index_that_disagrees_with_the_entries_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let path = directory.path().join("part");
    let good = small_part(&*vfs);
    let (record, section) = last_section(&good);
    let groups = section.groups_offset as usize..section.groups_offset as usize + 32 * section.groups as usize;
    let is_empty = |lane: &usize| good[*lane] == 0 && good[*lane + 1] == 0;
    let lanes = || groups.clone().step_by(32).flat_map(|group| (group..group + 30).step_by(2));
    let (used, empty) = (lanes().find(|lane| !is_empty(lane)).unwrap(), lanes().find(is_empty).unwrap());
    let filter_of = |lane: usize| lane - (lane - groups.start) % 32 + 30;
    let offset_of = |lane: usize| {
        let (group, lane) = ((lane - groups.start) / 32, (lane - groups.start) % 32 / 2);
        section.offset_of(group as u64, lane as u64).0 as usize
    };
    let anchor = section.anchors_offset as usize;
    let entry = section.entries_offset as usize;
    type Forgery<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let forgeries: [Forgery<'_>; 15] = [
        ("a tag is another", &|file| file[used] ^= 2),
        ("a tag is empty", &|file| file[used..used + 2].fill(0)),
        ("an entry is there twice", &|file| {
            file.copy_within(used..used + 2, empty);
            file.copy_within(offset_of(used)..offset_of(used) + 4, offset_of(empty));
        }),
        ("an offset is that of another entry", &|file| {
            file.copy_within(offset_of(used)..offset_of(used) + 4, offset_of(used + 2));
        }),
        ("an offset is outside", &|file| file[offset_of(used) + 3] = 0xff),
        ("an empty lane has an offset", &|file| file[offset_of(empty)] = 1),
        ("a group that has room was passed", &|file| file[filter_of(empty)] = 1),
        ("an anchor has another prefix", &|file| file[anchor] ^= 1),
        ("an anchor has another offset", &|file| file[anchor + 8] ^= 1),
        ("a key is out of order", &|file| file[entry + 3] = b'z'),
        ("a tombstone is a put", &|file| {
            let at = file.windows(9).position(|bytes| bytes == b"\x02\x06\0key 34").unwrap();
            file[at] = 1;
        }),
        ("another number of entries", &|file| file[record + 16] -= 1),
        ("another number of tombstones", &|file| file[record + 24] -= 1),
        ("another number of bytes", &|file| file[record + 32] ^= 1),
        ("the last group is missing", &|file| file[record + 72] -= 1),
    ];
    for (what, change) in forgeries {
        assert_found(&*vfs, &path, &good, what, change);
    }
}

/// A full group that keeps no note of an entry that it had no room for: that entry is not found.
#[test]
fn an_overflow_filter_without_a_bit_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut writer = PartWriter::new(vfs.create("part").unwrap(), 1, 77).unwrap();
    writer.start_collection(CollectionId { lsn: Lsn(1), index: 0 }, 0, &mut || Ok(())).unwrap();
    (0..2000_u32).for_each(|n| writer.insert(&n.to_be_bytes(), None).unwrap());
    writer.finish(&mut || Ok(())).unwrap();
    let path = directory.path().join("part");
    let good = fs::read(&path).unwrap();
    let section = Part::open(&*vfs, "part").unwrap().sections()[0];
    let groups = section.groups_offset as usize..section.groups_offset as usize + 32 * section.groups as usize;
    let passed: Vec<_> = groups.step_by(32).filter(|group| good[group + 30] | good[group + 31] != 0).collect();
    assert!((5..50).contains(&passed.len()), "{} of {} groups", passed.len(), section.groups);
    for group in passed {
        let change = |file: &mut Vec<u8>| file[group + 30..group + 32].fill(0);
        assert_found(&*vfs, &path, &good, &format!("group at {group}"), &change);
    }
}

#[test]
fn forged_footers() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let path = directory.path().join("part");
    let good = small_part(&*vfs);
    for number in [0, 1, 2, 3, 4, 100, 4096, 1 << 32, u64::MAX / 96, u64::MAX / 8, u64::MAX] {
        let changes: [fn(&mut Footer, u64); 4] = [
            |footer, n| footer.blocks = n,
            |footer, n| footer.blocks_covered = n,
            |footer, n| footer.directory_offset = n,
            |footer, n| footer.collections = n,
        ];
        for (which, change) in changes.iter().enumerate() {
            let mut file = good.clone();
            seal(&mut file, |footer| change(footer, number));
            let read = forge(&*vfs, &path, &file);
            assert!(is_typed(&read), "field {which} {number}: {read:?}");
        }
    }
}

#[test]
fn forged_manifests() {
    let id = CheckpointId { epoch: Epoch(1), lsn: Lsn(2), seq: 3 };
    let summary = Summary { bytes: 8192, identity: 1, digest: 2 };
    let (content, origins) = (ContentDigest(4), Origins::itself);
    let part = |seq| PartRef { seq, summary, entries: 9, tombstones: 2, content, origins: origins(seq) };
    let manifest = Manifest { id, previous: None, log_id: kv_core::LogId(9), parts: vec![part(3), part(1)] };
    let good = manifest.encode().unwrap();
    assert_eq!(Manifest::decode(&good, id), Ok(manifest.clone()));
    let other = Manifest::decode(&good, CheckpointId { seq: 4, ..id });
    assert!(matches!(other, Err(DecodeError::Damaged { .. })), "{other:?}");

    let header_bytes = good.len() - get_u64(&good, 56) as usize;
    let mut rng = Rng::with_seed(6);
    for _ in 0..20_000 {
        let mut file = good.clone();
        let at = rng.usize(header_bytes..file.len());
        file[at] = rng.u8(..);
        let checksum = xxh3_64(&file[header_bytes..]);
        put_u64(&mut file, 64, checksum);
        let checksum = xxh3_64(&file[16..header_bytes]);
        put_u64(&mut file, 8, checksum);
        if let Ok(decoded) = Manifest::decode(&file, id) {
            assert_eq!(decoded.id, id);
        }
    }
    let refused = [
        ("a part twice", vec![part(3), part(1), part(3)]),
        ("more tombstones than entries", vec![PartRef { tombstones: 10, ..part(3) }]),
        ("too many parts", (0..=PARTS_MAX as u64).rev().map(part).collect()),
        ("merged from the same part", vec![PartRef { origins: Origins { first: 1, last: 2 }, ..part(3) }, part(1)]),
        ("merged from nothing", vec![PartRef { origins: Origins { first: 3, last: 2 }, ..part(3) }, part(1)]),
    ];
    for (what, parts) in refused {
        assert_eq!(Manifest { parts, ..manifest.clone() }.encode(), None, "{what}");
    }
    for count in [0, PARTS_MAX as u64] {
        let largest = Manifest { previous: Some(id), parts: (0..count).rev().map(part).collect(), ..manifest.clone() };
        assert_eq!(Manifest::decode(&largest.encode().unwrap(), id), Ok(largest), "{count} parts");
    }
}
