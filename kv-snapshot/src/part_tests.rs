//! A part against a map with the same entries, tombstones included, sound and damaged.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "files are damaged behind the file layer's back"
)]

use std::{
    collections::BTreeMap,
    fs,
    ops::Bound::{self, Excluded, Included, Unbounded},
    os::unix::fs::FileExt,
    sync::Arc,
};

use fastrand::Rng;
use kv_core::{CollectionId, Cursor, Error, Lsn, Result};
use kv_vfs::{OsVfs, Vfs};

use crate::{
    Table,
    format::part::Section,
    read::{cursor::PartCursor, part::Part, search::NotQuick},
    verify::entries::verify_entries,
    write::part_writer::PartWriter,
};

const COLLECTION: CollectionId = CollectionId { lsn: Lsn(0), index: 0 };

/// A value, or `None` for a tombstone.
type ValueOrNone = Option<Vec<u8>>;
type Entries = BTreeMap<Vec<u8>, ValueOrNone>;

/// Keys of 1 to 300 bytes, some of them alike in their first bytes, and values of all lengths that
/// take another header.
fn random_entries(count: usize, rng: &mut Rng) -> Entries {
    let mut entries = Entries::new();
    while entries.len() < count {
        let prefix = ["", "common/", "common/prefix/"][rng.usize(..3)];
        let length = if rng.u8(..20) == 0 { rng.usize(100..300) } else { rng.usize(1..20) };
        let key = prefix.bytes().chain((0..length).map(|_| rng.alphanumeric() as u8)).collect();
        let length = match rng.u8(..40) {
            0 => rng.usize(..20_000),
            1..10 => rng.usize(..400),
            _ => rng.usize(..40),
        };
        let value = (rng.u8(..4) > 0).then(|| vec![rng.u8(..); length]);
        entries.insert(key, value);
    }
    entries
}

fn write(vfs: &dyn Vfs, entries: &Entries) {
    let mut writer = PartWriter::new(vfs.create("part").unwrap(), 0, 0x55 << 100 | 0x1234_5678).unwrap();
    writer.start_collection(COLLECTION, 0, &mut || Ok(())).unwrap();
    for (key, value) in entries {
        writer.insert(key, value.as_deref()).unwrap();
    }
    writer.finish(&mut || Ok(())).unwrap();
}

fn read_entries(mut cursor: PartCursor, backwards: bool) -> Result<Vec<(Vec<u8>, ValueOrNone)>> {
    let mut entries = Vec::new();
    while if backwards { cursor.retreat()? } else { cursor.advance()? } {
        let value = (!cursor.is_tombstone()).then(|| cursor.value().to_vec());
        assert!(value.is_some() || cursor.value().is_empty());
        entries.push((cursor.key().to_vec(), value));
    }
    Ok(entries)
}

/// Finds a key as all callers do.
fn find(part: &Part, section: &Section, key: &[u8]) -> Result<Option<ValueOrNone>> {
    let quick = part.find_quickly(section, key).map(|found| found.map(|(entry, value)| (entry, value.to_vec())));
    let found = match quick {
        Ok(found) => found,
        Err(NotQuick) => match part.find(section, key)? {
            Some(entry) => Some((entry, part.value(entry)?.to_vec())),
            None => None,
        },
    };
    let Some((entry, value)) = found else { return Ok(None) };
    assert_eq!(*part.key(entry)?, *key);
    Ok(Some((!entry.is_tombstone()).then(|| value.to_vec())))
}

/// Reads everything in every way. What can be read must be exactly right. Returns the first error.
fn compare(vfs: &dyn Vfs, entries: &Entries) -> Result<()> {
    let part = Arc::new(Part::open(vfs, "part")?);
    let section = *part.section(COLLECTION).unwrap();
    for (key, value) in entries {
        assert_eq!(find(&part, &section, key)?.as_ref(), Some(value), "{key:?}");
        for absent in [[&key[..], b"\0"].concat(), [b"-", &key[..]].concat()] {
            assert_eq!(find(&part, &section, &absent)?.as_ref(), entries.get(&absent));
        }
    }
    let cursor = |lower: Bound<&[u8]>, upper| PartCursor::new(part.clone(), section, lower, upper);
    let expected: Vec<_> = entries.clone().into_iter().collect();
    assert_eq!(read_entries(cursor(Unbounded, Unbounded)?, false)?, expected);
    let backwards: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(read_entries(cursor(Unbounded, Unbounded)?, true)?, backwards);
    for pair in expected.chunks_exact(2).step_by(7) {
        let [(low, _), (high, _)] = pair else { unreachable!() };
        assert_eq!(read_entries(cursor(Included(low), Excluded(high))?, false)?, pair[..1]);
        assert_eq!(read_entries(cursor(Excluded(low), Included(high))?, true)?, pair[1..]);
    }
    let puts = || entries.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let bytes: usize = puts().map(|(key, value)| key.len() + value.len()).sum();
    let counts = (entries.len() as u64, (entries.len() - puts().count()) as u64, bytes as u64);
    assert_eq!((section.entries, section.tombstones, section.bytes), counts);
    verify_entries(&part)
}

#[test]
fn a_part_of_any_size_holds_what_a_map_holds() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut rng = Rng::with_seed(3);
    for count in (0..=200).chain([20_000]) {
        let entries = random_entries(count, &mut rng);
        write(&*vfs, &entries);
        compare(&*vfs, &entries).unwrap_or_else(|error| panic!("{count} entries: {error}"));
        fs::remove_file(directory.path().join("part")).unwrap();
    }
}

/// Also where an error would be wrong: in a byte that the answer does not depend on.
#[test]
fn a_flipped_byte_never_gives_a_wrong_answer() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut entries = random_entries(40, &mut Rng::with_seed(4));
    entries.insert(b"long".to_vec(), Some(vec![7; 5000]));
    write(&*vfs, &entries);
    let path = directory.path().join("part");
    let good = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut unnoticed = 0;
    for (at, byte) in good.iter().enumerate() {
        file.write_all_at(&[byte ^ 1 << (at % 8)], at as u64).unwrap();
        match compare(&*vfs, &entries) {
            Ok(()) => unnoticed += 1,
            Err(Error::Corrupt { .. }) => {}
            Err(other) => panic!("byte {at}: {other:?}"),
        }
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(unnoticed, 0, "everything is read, and a checksum covers every byte of it");
}

/// The groups are zeroed: no lane has a tag, and no filter says that a key went on.
#[test]
fn a_key_is_not_absent_if_its_group_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let entries = random_entries(3000, &mut Rng::with_seed(5));
    write(&*vfs, &entries);
    let section = *Part::open(&*vfs, "part").unwrap().section(COLLECTION).unwrap();
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("part")).unwrap();
    file.write_all_at(&vec![0; section.groups as usize * 32], section.groups_offset).unwrap();
    let part = Part::open(&*vfs, "part").unwrap();
    for key in entries.keys() {
        let found = find(&part, &section, key);
        assert!(matches!(found, Err(Error::Corrupt { .. })), "{found:?}");
    }
}

#[test]
fn a_table_with_a_tombstone_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut entries = Entries::from([(b"a".to_vec(), Some(b"1".to_vec()))]);
    write(&*vfs, &entries);
    assert_eq!(Table::open(&*vfs, "part").unwrap().len(), 1);
    fs::remove_file(directory.path().join("part")).unwrap();
    entries.insert(b"b".to_vec(), None);
    write(&*vfs, &entries);
    assert!(matches!(Table::open(&*vfs, "part"), Err(Error::Corrupt { .. })));
}

#[test]
fn a_part_of_the_version_before_is_older() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    write(&*vfs, &random_entries(3, &mut Rng::with_seed(6)));
    let path = directory.path().join("part");
    let mut file = fs::read(&path).unwrap();
    file[16] = 1;
    let checksum = xxhash_rust::xxh3::xxh3_64(&file[16..4096]);
    file[8..16].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &file).unwrap();
    let opened = Part::open(&*vfs, "part").map(drop);
    assert!(matches!(&opened, Err(Error::OlderVersion { detail, .. }) if detail.contains("version 1")), "{opened:?}");
}
