use std::sync::Arc;

use super::*;
use crate::{
    Change, Changes, CheckpointHead, CheckpointId, Checkpointer, MemoryCheckpointer, MemoryLog, Store, StoreOptions,
};

/// All entries of a checkpoint, to be written as another one.
struct Forgery {
    head: CheckpointHead,
    entries: Vec<(Key, Vec<u8>)>,
    next: usize,
}

impl Forgery {
    fn of(checkpoint: &dyn Checkpoint) -> Self {
        let mut entries = Vec::new();
        let mut collections = vec![CollectionId::NAMES];
        let mut at = 0;
        while let Some(&id) = collections.get(at) {
            let mut cursor = checkpoint.range(id, Bound::Unbounded, Bound::Unbounded).unwrap();
            while cursor.advance().unwrap() {
                entries.push(((id, cursor.key().to_vec()), cursor.value().to_vec()));
                if id == CollectionId::NAMES {
                    collections.push(CollectionId::from_key(cursor.key()).unwrap());
                }
            }
            at += 1;
        }
        Self { head: *checkpoint.head(), entries, next: 0 }
    }

    fn write(mut self) -> Arc<dyn Checkpoint> {
        MemoryCheckpointer::new().write(None, &mut self).unwrap()
    }
}

impl Changes for Forgery {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        let entry = self.entries.get(self.next);
        self.next += 1;
        Ok(entry.map(|((collection, key), value)| Change { collection: *collection, key, value: Some(value) }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

struct Media {
    log: Arc<MemoryLog>,
    older: Arc<dyn Checkpoint>,
    newer: Arc<dyn Checkpoint>,
}

/// Two checkpoints, and between them every kind of change.
fn media() -> Media {
    let (log, checkpointer) = (Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()));
    let options = StoreOptions { checkpoint_record_bytes: u64::MAX, ..StoreOptions::default() };
    let store = Store::with_backends(log.clone(), checkpointer.clone(), options).unwrap();
    let _pin = store.pin(Lsn::START).unwrap(); // the log keeps everything
    let made = |id: Option<CheckpointId>| checkpointer.open(id.unwrap()).unwrap();
    for (name, keys) in [("a", 0..40), ("b", 0..3), ("c", 0..3), ("d", 0..3)] {
        let collection = store.collection(name).unwrap();
        keys.for_each(|n: u8| collection.put([n], [n; 5]).unwrap());
    }
    let older = made(store.checkpoint().unwrap());
    let a = store.collection("a").unwrap();
    (5..10).for_each(|n: u8| a.delete([n]).unwrap());
    (8..14).for_each(|n: u8| a.put([n], b"new").unwrap());
    (40..44).for_each(|n: u8| a.put([n], b"added").unwrap());
    store.rename_collection("b", "renamed").unwrap();
    store.drop_collection("c").unwrap();
    store.clear_collection("d").unwrap();
    store.collection("d").unwrap().put("key", "value").unwrap();
    Media { log, older, newer: made(store.checkpoint().unwrap()) }
}

#[test]
fn a_checkpoint_is_the_one_before_it_with_the_log_between() {
    let Media { log, older, newer } = media();
    for bytes_max in [0, 1, 20, 100, 1 << 20] {
        verify_in_windows(&*log, Some(&*older), &*newer, bytes_max).unwrap();
        verify_in_windows(&*log, None, &*newer, bytes_max).unwrap();
        verify_in_windows(&*log, None, &*older, bytes_max).unwrap();
        let forged = Forgery::of(&*newer).write();
        verify_in_windows(&*log, Some(&*older), &*forged, bytes_max).unwrap();
    }
}

#[test]
fn every_entry_that_is_missing_or_wrong_is_found() {
    let Media { log, older, newer } = media();
    let count = Forgery::of(&*newer).entries.len();
    assert!(count > 40, "{count}");
    type Forge = fn(&mut Vec<(Key, Vec<u8>)>, usize);
    let forgeries: [Forge; 3] = [
        |entries, at| drop(entries.remove(at)),
        |entries, at| entries[at].1.push(b'x'),
        |entries, at| {
            let mut added = entries[at].clone();
            added.0.1.push(0);
            entries.insert(at + 1, added);
        },
    ];
    for (at, forge) in (0..count).flat_map(|at| forgeries.iter().map(move |forge| (at, forge))) {
        let mut forged = Forgery::of(&*newer);
        forge(&mut forged.entries, at);
        let forged = forged.write();
        for (older, bytes_max) in [(Some(&*older), 30), (Some(&*older), 1 << 20), (None, 1 << 20)] {
            let verified = verify_in_windows(&*log, older, &*forged, bytes_max);
            assert!(matches!(verified, Err(Error::Corrupt { .. })), "entry {at}: {verified:?}");
        }
    }
}

#[test]
fn a_deletion_that_was_lost_is_found() {
    let Media { log, older, newer } = media();
    let mut forged = Forgery::of(&*newer);
    let place = forged.entries.iter().position(|(key, _)| key.1 == [4]).unwrap();
    let collection = forged.entries[place].0.0;
    forged.entries.insert(place + 1, ((collection, vec![5]), vec![5; 5])); // as it was before
    let error = verify_replay(&*log, Some(&*older), &*forged.write()).unwrap_err();
    assert!(error.to_string().contains(r#"key "\x05""#), "{error}");
    assert!(error.to_string().ends_with("should not be there"), "{error}");
}

#[test]
fn a_log_that_was_trimmed_or_ends_too_early_is_an_error() {
    let Media { log, older, newer } = media();
    let mut forged = Forgery::of(&*newer);
    forged.head.lsn = log.bounds().appended.next();
    let verified = verify_replay(&*log, Some(&*older), &*forged.write());
    assert!(matches!(verified, Err(Error::Corrupt { .. })), "{verified:?}");
    log.trim(older.head().lsn).unwrap();
    verify_replay(&*log, Some(&*older), &*newer).unwrap();
    let verified = verify_replay(&*log, None, &*newer);
    assert!(matches!(verified, Err(Error::Trimmed { .. })), "{verified:?}");
}
