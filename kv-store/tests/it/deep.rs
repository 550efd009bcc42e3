//! Deep verification: a store whose checksums are all right, and which is not what was written.

use std::{collections::BTreeMap, fs, path::Path};

use kv_snapshot::{Change, Changes, CheckpointHead, CheckpointId, Checkpointer, CollectionId, MmapCheckpointer};
use kv_store::{DeepVerification, Lsn, OsVfs, Store, Verification, verify, verify_deep};

use crate::support::{copy, files, small};

type Key = (CollectionId, Vec<u8>);
type Entries = BTreeMap<Key, Option<Vec<u8>>>;

/// Changes to be written as a checkpoint.
struct Forged {
    head: CheckpointHead,
    entries: Vec<(Key, Option<Vec<u8>>)>,
    next: usize,
}

impl Changes for Forged {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> kv_store::Result<Option<Change<'_>>> {
        let entry = self.entries.get(self.next);
        self.next += 1;
        Ok(entry.map(|((collection, key), value)| Change { collection: *collection, key, value: value.as_deref() }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// A closed store with a checkpoint, and changes after it that are in the log alone.
fn store_with_log(path: &Path) -> (CollectionId, Lsn) {
    let store = small().open(path).unwrap();
    let users = store.collection("users").unwrap();
    for name in ["alice", "bob", "carol"] {
        users.put(name, "first").unwrap();
    }
    store.checkpoint().unwrap().unwrap();
    users.put("alice", "second").unwrap();
    users.delete("bob").unwrap();
    users.put("dora", "second").unwrap();
    let position = store.snapshot().position();
    let id = store.collections().unwrap()[0].id;
    store.close().unwrap();
    (id, position)
}

/// What the checkpoint at the end of the log has to change.
fn changes(users: CollectionId) -> Entries {
    let changes = [("alice", Some("second")), ("bob", None), ("dora", Some("second"))];
    let owned =
        |(key, value): (&str, Option<&str>)| ((users, key.into()), value.map(|value| value.as_bytes().to_vec()));
    changes.map(owned).into()
}

fn write_checkpoint(path: &Path, lsn: Lsn, entries: Entries) -> CheckpointId {
    let vfs = OsVfs::open(path.join("checkpoints")).unwrap();
    let checkpointer = MmapCheckpointer::open(vfs).unwrap();
    let previous = checkpointer.list().unwrap()[0];
    let head = CheckpointHead { lsn, ..*checkpointer.open(previous).unwrap().head() };
    let mut forged = Forged { head, entries: entries.into_iter().collect(), next: 0 };
    checkpointer.write(Some(previous), &mut forged).unwrap().id()
}

fn deep(path: &Path) -> (Verification, DeepVerification) {
    let plain = verify(path).unwrap();
    assert!(plain.damage.is_empty() && plain.deep.is_none(), "{plain:?}");
    let before = files(path);
    let mut verification = verify_deep(path).unwrap();
    assert!(files(path) == before, "something was changed");
    let deep = verification.deep.take().unwrap();
    (verification, deep)
}

#[test]
fn a_checkpoint_that_lacks_or_adds_a_change_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let original = parent.path().join("original");
    let (users, position) = store_with_log(&original);
    let sound = changes(users);
    let mut forgeries = vec![("sound", sound.clone())];
    for key in sound.keys() {
        let mut forged = sound.clone();
        forged.remove(key);
        forgeries.push(("a change is missing", forged));
        let mut forged = sound.clone();
        forged.insert(key.clone(), Some(b"another".to_vec()));
        forgeries.push(("another value", forged));
    }
    let mut forged = sound.clone();
    forged.insert((users, b"eve".to_vec()), Some(b"never written".to_vec()));
    forgeries.push(("one entry more", forged));
    for (number, (what, forged)) in forgeries.into_iter().enumerate() {
        let path = parent.path().join(number.to_string());
        copy(&original, &path);
        let id = write_checkpoint(&path, position, forged);
        let (verification, deep) = deep(&path);
        if what == "sound" {
            assert!(verification.damage.is_empty(), "{verification:?}");
            assert_eq!((deep.parts, deep.replays, deep.unchecked.len()), (2, 2, 0), "{deep:?}");
            continue;
        }
        assert_eq!((verification.damage.len(), deep.replays), (1, 1), "{what}: {verification:?}");
        let error = verification.damage[0].to_string();
        assert!(error.contains(&format!("checkpoint at position {}", id.lsn)), "{what}: {error}");
    }
}

fn write_much(store: &Store) {
    let (users, dropped) = (store.collection("users").unwrap(), store.collection("dropped").unwrap());
    for round in 0..14_u8 {
        for n in 0..60_u8 {
            users.put([n.wrapping_mul(round | 1)], vec![round; 300]).unwrap();
        }
        users.delete([round]).unwrap();
        dropped.put([round], "x").unwrap();
        store.checkpoint().unwrap();
    }
    store.drop_collection("dropped").unwrap();
    store.rename_collection("users", "people").unwrap();
    store.checkpoint().unwrap();
    store.collection("people").unwrap().put("last", "of all").unwrap();
}

#[test]
fn a_sound_store_is_found_to_be_sound_and_told_what_could_not_be_compared() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = small().open(&path).unwrap();
    write_much(&store);
    let killed = parent.path().join("killed");
    copy(&path, &killed);
    let (verification, found) = deep(&killed);
    assert!(verification.damage.is_empty(), "{verification:?}");
    assert!(found.parts > 0 && found.replays > 0, "{found:?}");
    let trimmed = found.unchecked.iter().any(|why| why.contains("was trimmed"));
    assert!(trimmed, "the log before the older checkpoint is gone: {found:?}");
    store.compact().unwrap();
    store.close().unwrap();
    drop(store);
    let (verification, found) = deep(&path);
    assert!(verification.damage.is_empty() && found.parts == 1, "{verification:?} {found:?}");
    assert!(found.unchecked.iter().any(|why| why.contains("merged from")), "{found:?}");
}

#[test]
fn damage_is_found_before_anything_is_compared() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    store_with_log(&path);
    let part = path.join("checkpoints/0000000000000001.part");
    let mut bytes = fs::read(&part).unwrap();
    bytes[4100] ^= 1;
    fs::write(&part, bytes).unwrap();
    let before = files(&path);
    let verification = verify_deep(&path).unwrap();
    assert!(!verification.damage.is_empty() && verification.deep.is_none());
    assert!(files(&path) == before);
}
