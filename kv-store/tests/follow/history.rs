//! The transactions that owners make, and the model that followers are compared with.

use std::collections::BTreeMap;

use kv_store::{Durability, Follower, Lsn, Result, Snapshot, Store, Transaction};
use kv_testkit::{Model, Operation, Outcome};

type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// The changes of the record at a position. `salt` makes them others where a position is given out
/// again.
pub fn changes(position: u64, salt: u64) -> Vec<Operation> {
    let number = position.to_be_bytes();
    let value: Vec<u8> = [number, salt.to_be_bytes()].concat();
    let key = |number: u64| format!("key {number:02}");
    let mut changes = vec![Operation::put("pair", "one", number), Operation::put("pair", "two", value.clone())];
    let length = (position * 137 % 1_500) as usize;
    changes.push(Operation::put("data", key(position % 41), [value.as_slice(), &vec![b'.'; length]].concat()));
    if position.is_multiple_of(3) {
        changes.push(Operation::DeleteIfPresent { collection: "data".into(), key: key(position * 7 % 41).into() });
    }
    match position % 10 {
        1..=3 => changes.push(Operation::put("new", key(position % 10), value)),
        5 => changes.push(Operation::Rename { collection: "new".into(), to: "old".into() }),
        8 => changes.push(Operation::drop("old")),
        _ => {}
    }
    changes
}

fn change(tx: &mut Transaction<'_>, operation: &Operation) -> Result<()> {
    match operation {
        Operation::Put { collection, key, value } => tx.put(collection, key, value),
        Operation::DeleteIfPresent { collection, key } => tx.delete_if_present(collection, key).map(drop),
        Operation::Rename { collection, to } => tx.rename_collection(collection, to),
        Operation::Drop { collection } => tx.drop_collection(collection),
        other => panic!("no owner does this: {other:?}"),
    }
}

/// Makes the next transaction, and returns its position.
pub fn write(store: &Store, salt: u64, durability: Durability) -> Result<u64> {
    store.transact_with(durability, |tx| {
        let last = tx.get("pair", "one")?.map_or(0, |number| u64::from_be_bytes(number[..].try_into().unwrap()));
        changes(last + 1, salt).iter().try_for_each(|operation| change(tx, operation))?;
        Ok(last + 1)
    })
}

/// What was written, by position.
#[derive(Default)]
pub struct History(Vec<u64>);

impl History {
    /// Notes the salt of the next record.
    pub fn push(&mut self, salt: u64) {
        self.0.push(salt);
    }

    /// Drops what a crash has lost.
    pub fn cut(&mut self, position: Lsn) {
        self.0.truncate(position.0 as usize);
    }
}

/// Goes through a history, and says what a store holds at each position.
#[derive(Default)]
pub struct Expected {
    model: Model,
    at: u64,
}

impl Expected {
    /// Moves on to a position, which must not be below the one before. `salt` gives that of each.
    pub fn at(&mut self, position: Lsn, salt: impl Fn(u64) -> u64) -> &Content {
        assert!(position.0 >= self.at, "it went back from {} to {position}", self.at);
        while self.at < position.0 {
            self.at += 1;
            for operation in changes(self.at, salt(self.at)) {
                let outcome = self.model.apply(&operation);
                assert!(matches!(outcome, Outcome::Done | Outcome::Unchanged), "{operation:?}: {outcome:?}");
            }
        }
        self.model.collections()
    }

    /// The content at a position of a history.
    pub fn of(history: &History, position: Lsn) -> Content {
        Self::default().at(position, |at| history.0[at as usize - 1]).clone()
    }
}

/// Everything that a snapshot shows, read in every way.
pub fn content(snapshot: &Snapshot) -> Result<Content> {
    let mut content = Content::new();
    for info in snapshot.collections()? {
        let mut entries = BTreeMap::new();
        for entry in snapshot.iter(&info.name) {
            let entry = entry?;
            assert_eq!(snapshot.get(&info.name, &entry.key)?.as_deref(), Some(&*entry.value));
            entries.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        assert_eq!(snapshot.len(&info.name)?, entries.len() as u64);
        content.insert(info.name, entries);
    }
    Ok(content)
}

/// Asserts that a follower shows what the history has at its position.
#[track_caller]
pub fn check(follower: &Follower, history: &History) {
    let snapshot = follower.snapshot();
    let position = snapshot.position();
    assert!(history.0.len() as u64 >= position.0, "it shows {position}, and that was lost");
    assert!(content(&snapshot).unwrap() == Expected::of(history, position), "it shows another state at {position}");
}
