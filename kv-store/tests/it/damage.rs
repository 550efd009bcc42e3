//! One flipped bit anywhere in a store never gives wrong data: the store refuses to open, the read
//! that meets the bit reports it, or it is harmless.

use std::{fs, path::Path};

use kv_store::{Durability, Error};

use crate::support::{Content, content, copy, files, small};

/// What readers may see: the state after all writes, or after a prefix with every `Disk` write.
struct Expected {
    states: Vec<Content>,
    disk_acknowledged: usize,
}

/// A store as a killed process leaves it: two checkpoints, and records after them, the last of
/// which were not flushed.
fn killed(parent: &Path) -> Expected {
    let path = parent.join("live");
    let store = small().open(&path).unwrap();
    let mut states = vec![content(&store).unwrap()];
    let all = store.collection("all").unwrap();
    for key in 0..12_u8 {
        let durability = if key < 9 { Durability::Disk } else { Durability::Process };
        all.with_durability(durability).put([key], vec![key; 10]).unwrap();
        states.push(content(&store).unwrap());
        if key == 2 || key == 5 {
            store.checkpoint().unwrap();
        }
    }
    copy(&path, &parent.join("killed"));
    Expected { states, disk_acknowledged: 9 }
}

fn closed(parent: &Path) -> Expected {
    let path = parent.join("closed");
    let store = small().open(&path).unwrap();
    let all = store.collection("all").unwrap();
    for key in 0..9_u8 {
        all.put([key], vec![key; 10]).unwrap();
        if key == 2 || key == 5 {
            store.checkpoint().unwrap();
        }
    }
    let states = vec![content(&store).unwrap()];
    store.close().unwrap();
    Expected { states, disk_acknowledged: 0 }
}

/// Removes the notes of damage that reading has left.
fn remove_flags(path: &Path) {
    let flags = files(path).into_keys().filter(|name| name.ends_with(".damaged"));
    flags.for_each(|name| fs::remove_file(name).unwrap());
}

/// Opens the damaged store, reads everything, and checks it. Returns whether damage was reported.
fn check_damaged(path: &Path, expected: &Expected, what: &str) -> bool {
    let seen = small().open(path).and_then(|store| content(&store));
    match seen {
        Ok(seen) => {
            let at = expected.states.iter().position(|state| *state == seen);
            let at = at.unwrap_or_else(|| panic!("{what}: wrong data was served: {seen:?}"));
            assert!(at >= expected.disk_acknowledged, "{what}: a Disk write was silently dropped");
            false
        }
        Err(Error::Corrupt { .. } | Error::Unrecoverable(_)) => true,
        Err(other) => panic!("{what}: {other:?}"),
    }
}

/// Flips a bit of every byte in use of each file, one at a time, and checks each damage.
fn flip_bits(original: &Path, expected: &Expected) {
    let scratch = original.with_extension("scratch");
    copy(original, &scratch);
    let mut reported = 0;
    for (name, bytes) in files(original) {
        let target = scratch.join(Path::new(&name).strip_prefix(original).unwrap());
        let mut damaged = bytes.clone();
        // In a long run of zeroes, only the edges and a few places in the middle are tried.
        let interesting = |at: &usize| {
            let around = &bytes[at.saturating_sub(8)..bytes.len().min(at + 9)];
            around.iter().any(|&byte| byte != 0) || at.is_multiple_of(1021)
        };
        for at in (0..bytes.len()).filter(interesting) {
            let bit = 1_u8 << (at % 8);
            damaged[at] ^= bit;
            fs::write(&target, &damaged).unwrap();
            reported += u32::from(check_damaged(&scratch, expected, &format!("{name}, byte {at}, bit {bit:#x}")));
            damaged[at] ^= bit;
            remove_flags(&scratch);
        }
        fs::write(&target, &bytes).unwrap();
    }
    assert!(!check_damaged(&scratch, expected, "undamaged"));
    assert!(reported > 100, "damage was reported only {reported} times");
}

#[test]
fn flipped_bits_in_a_killed_store() {
    let parent = tempfile::tempdir().unwrap();
    let expected = killed(parent.path());
    flip_bits(&parent.path().join("killed"), &expected);
}

#[test]
fn flipped_bits_in_a_closed_store() {
    let parent = tempfile::tempdir().unwrap();
    let expected = closed(parent.path());
    flip_bits(&parent.path().join("closed"), &expected);
}

#[test]
fn truncated_and_missing_files_in_a_killed_store() {
    let parent = tempfile::tempdir().unwrap();
    let expected = killed(parent.path());
    let original = parent.path().join("killed");
    let scratch = parent.path().join("scratch");
    copy(&original, &scratch);
    for (name, bytes) in files(&original) {
        let target = scratch.join(Path::new(&name).strip_prefix(&original).unwrap());
        for len in (0..bytes.len()).step_by(509) {
            fs::write(&target, &bytes[..len]).unwrap();
            check_damaged(&scratch, &expected, &format!("{name}, cut to {len}"));
            remove_flags(&scratch);
        }
        if !name.ends_with("LOCK") {
            fs::remove_file(&target).unwrap();
            check_damaged(&scratch, &expected, &format!("{name}, removed"));
        }
        fs::write(&target, &bytes).unwrap();
    }
}

#[test]
fn verify_finds_damage_that_reading_may_not_touch_and_keeps_the_history() {
    let parent = tempfile::tempdir().unwrap();
    closed(parent.path());
    let path = parent.path().join("closed");
    let parts: Vec<_> = files(&path).into_iter().filter(|(name, _)| name.ends_with(".part")).collect();
    assert_eq!(parts.len(), 2);
    for (name, bytes) in parts {
        let mut damaged = bytes.clone();
        damaged[4100] ^= 1;
        fs::write(&name, &damaged).unwrap();
        let verification = kv_store::verify(&path).unwrap();
        assert!(!verification.damage.is_empty(), "{name}");
        fs::write(&name, &bytes).unwrap();
        assert!(kv_store::verify(&path).unwrap().damage.is_empty());
    }
}
