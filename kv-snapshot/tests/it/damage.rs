use std::{fs, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use kv_core::{CheckpointId, Checkpointer, Error};
use kv_snapshot::{MmapCheckpointer, Table, TableWriter};
use kv_vfs::{OsVfs, Vfs};
use tempfile::TempDir;

use crate::support::{State, compare, open};

/// A directory with one checkpoint in it.
struct Small {
    directory: TempDir,
    vfs: Arc<OsVfs>,
    state: State,
    id: CheckpointId,
}

impl Small {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let vfs = OsVfs::open(directory.path()).unwrap();
        let checkpointer = open(vfs.clone()).unwrap();
        let mut state = State::default();
        for n in 0..20 {
            state.put(1, format!("key {n}").as_bytes(), format!("value {n}").as_bytes());
        }
        state.put(2, b"spans blocks", &[0; 4100]);
        let id = checkpointer.write(None, &mut state.take()).unwrap().id();
        Self { directory, vfs, state, id }
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some()).collect()
    }

    fn checkpointer(&self) -> MmapCheckpointer {
        open(self.vfs.clone()).unwrap()
    }

    /// Opens the checkpoint and reads everything. What can be read must be exactly right.
    fn read_all(&self, checkpointer: &MmapCheckpointer) -> Result<(), Error> {
        assert_eq!(checkpointer.list().unwrap(), [self.id]);
        compare(&*checkpointer.open(self.id)?, &self.state.collections)
    }
}

fn is_damage(read: &Result<(), Error>) -> bool {
    matches!(read, Err(Error::Corrupt { .. }))
}

/// A checksum covers every byte, and all are verified when everything is read: so no flipped bit
/// goes unnoticed.
#[test]
fn every_flipped_bit_is_found() {
    let small = Small::new();
    for path in small.files() {
        let good = fs::read(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for bit in 0..good.len() * 8 {
            // There are long runs of zeroes, where one bit of each byte is enough.
            if good[bit / 8] == 0 && bit % 8 != (bit / 8) % 8 {
                continue;
            }
            let byte = good[bit / 8];
            file.write_all_at(&[byte ^ 1 << (bit % 8)], bit as u64 / 8).unwrap();
            let checkpointer = small.checkpointer();
            let read = small.read_all(&checkpointer);
            let padding = read.is_ok();
            assert!(padding || is_damage(&read), "{path:?} bit {bit}: {read:?}");
            if padding || bit % 61 == 0 {
                let findings = checkpointer.verify().unwrap().findings;
                assert!(matches!(findings[..], [Error::Corrupt { .. }]), "{path:?} bit {bit}: {findings:?}");
            }
            let _ = small.vfs.remove("0000000000000001.part.damaged");
            file.write_all_at(&[byte], bit as u64 / 8).unwrap();
        }
    }
    small.read_all(&small.checkpointer()).unwrap();
}

#[test]
fn every_truncation_and_every_extension_is_found_at_opening() {
    let small = Small::new();
    for path in small.files() {
        let good = fs::read(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for length in (0..good.len()).rev() {
            file.set_len(length as u64).unwrap();
            let opened = small.checkpointer().open(small.id).map(drop);
            assert!(is_damage(&opened), "{path:?} truncated to {length}: {opened:?}");
        }
        for more in [1, 8, 4095, 4096, 8192] {
            fs::write(&path, [&good[..], &vec![0; more]].concat()).unwrap();
            let opened = small.checkpointer().open(small.id).map(drop);
            assert!(is_damage(&opened), "{path:?} longer by {more}: {opened:?}");
        }
        fs::remove_file(&path).unwrap();
        if path.extension().unwrap() == "part" {
            let opened = small.checkpointer().open(small.id).map(drop);
            assert!(is_damage(&opened), "{path:?} missing: {opened:?}");
        }
        fs::write(&path, &good).unwrap();
    }
}

/// A block of another part at the same place does not pass, although its content is valid there.
/// Nor does a whole part.
#[test]
fn parts_cannot_be_exchanged() {
    let (one, other) = (Small::new(), Small::new());
    let part = |small: &Small| small.directory.path().join("0000000000000001.part");
    let (good, foreign) = (fs::read(part(&one)).unwrap(), fs::read(part(&other)).unwrap());
    assert_eq!(good.len(), foreign.len());
    fs::write(part(&one), &foreign).unwrap();
    assert!(is_damage(&one.checkpointer().open(one.id).map(drop)));
    for block in 0..good.len() / 4096 {
        let mut mixed = good.clone();
        let range = block * 4096..(block + 1) * 4096;
        mixed[range.clone()].copy_from_slice(&foreign[range]);
        fs::write(part(&one), &mixed).unwrap();
        // Both parts hold the same entries, so that reading may give the right answers. But the
        // block is not the one that was written.
        let findings = one.checkpointer().verify().unwrap().findings;
        assert_eq!(findings.is_empty(), mixed == good, "block {block}: {findings:?}");
    }
}

/// The same bytes have different checksums in different parts.
#[test]
fn checksums_are_seeded_with_the_identity() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let [one, other] = ["one", "other"].map(|name| {
        let mut writer = TableWriter::create(vfs.clone(), name).unwrap();
        writer.insert(b"key", &[1; 3 * 4096]).unwrap();
        writer.finish().unwrap();
        fs::read(directory.path().join(name)).unwrap()
    });
    assert_eq!(one[2 * 4096..3 * 4096], other[2 * 4096..3 * 4096]);
    let checksum_of_block_2 = one.len() - 2 * 4096 + 2 * 8;
    assert_ne!(one[checksum_of_block_2..][..8], other[checksum_of_block_2..][..8]);
}

/// A block that was read is not verified again. The test shows this by doing what is forbidden: it
/// changes a mapped file.
#[test]
fn a_block_is_verified_on_first_touch_only() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut writer = TableWriter::create(vfs.clone(), "table").unwrap();
    writer.insert(b"a", &[b'x'; 100]).unwrap();
    writer.insert(b"b", &[b'y'; 9000]).unwrap();
    drop(writer.finish().unwrap());
    let table = Table::open(&*vfs, "table").unwrap();
    assert_eq!(table.get(b"a").unwrap().unwrap(), [b'x'; 100]);
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("table")).unwrap();
    let overwrite = |at| file.write_all_at(b"z", at).unwrap();
    overwrite(4096 + 4);
    overwrite(8192 + 50);
    assert_eq!(table.get(b"a").unwrap().unwrap()[0], b'z', "the block had been verified before");
    assert!(is_damage(&table.get(b"b").map(drop)), "its second block had not");
    assert!(is_damage(&table.verify()));
}

/// The length of a file is checked before memory is allocated for it.
#[test]
fn a_manifest_of_an_impossible_length_is_damage() {
    let small = Small::new();
    let manifest = small.files().into_iter().find(|path| path.extension().unwrap() == "manifest").unwrap();
    // A sparse file, longer than the memory of any machine.
    fs::OpenOptions::new().write(true).open(&manifest).unwrap().set_len(1 << 43).unwrap();
    assert!(is_damage(&small.checkpointer().open(small.id).map(drop)));
}

/// Recovery takes "damaged" as the sign to use an older checkpoint, so a missing file stays that
/// kind of error; its text says what is the matter.
#[test]
fn a_missing_file_of_a_checkpoint_is_damage_that_says_what_to_do() {
    let small = Small::new();
    for path in small.files() {
        let content = fs::read(&path).unwrap();
        let checkpointer = small.checkpointer();
        fs::remove_file(&path).unwrap();
        let opened = checkpointer.open(small.id).map(drop).unwrap_err();
        let Error::Corrupt { place, detail, .. } = opened else { panic!("{opened:?}") };
        assert!(place.path() == Some(&path) && detail.contains("missing") && detail.contains("backup"), "{detail}");
        fs::write(&path, content).unwrap();
    }
}
