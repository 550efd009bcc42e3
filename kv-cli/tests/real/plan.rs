//! What each step of the writer changes. The writer and the checks of what it left share this plan.

use std::collections::BTreeMap;

use kv_store::{Batch, Durability};

/// Everything in a store: values by collection and key.
pub type Content = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// How many steps later an entry is deleted.
const KEPT: u64 = 8;
/// Values are shorter than this.
const VALUE_BYTES_MAX: usize = 3_000;

/// A step: the thread that makes it, and its number, counted over all incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub thread: u32,
    pub number: u64,
}

struct Change {
    collection: String,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Step {
    /// Every third step has to survive a killed process only, the others a power cut, too.
    pub fn durability(self) -> Durability {
        if self.number % 3 == 1 { Durability::Process } else { Durability::Disk }
    }

    /// The step as a batch over two collections, so that half of a batch is always wrong.
    pub fn batch(self) -> Batch {
        let mut batch = Batch::new();
        for Change { collection, key, value } in self.changes() {
            match value {
                Some(value) => batch.put(&collection, key, value),
                None => batch.delete_if_present(&collection, key),
            };
        }
        batch
    }

    /// Applies the step to a content.
    pub fn apply(self, content: &mut Content) {
        for Change { collection, key, value } in self.changes() {
            match value {
                Some(value) => content.insert((collection, key), value),
                None => content.remove(&(collection, key)),
            };
        }
    }

    fn changes(self) -> Vec<Change> {
        let Self { thread, number } = self;
        let mut rng = fastrand::Rng::with_seed(number * 31 + u64::from(thread));
        let value = format!("step {number} of thread {thread}; ").repeat(VALUE_BYTES_MAX / 20);
        let value = value.as_bytes()[..rng.usize(20..VALUE_BYTES_MAX)].to_vec();
        let key = |number: u64| format!("{number:08}").into_bytes();
        let (steps, twins) = (format!("steps-{thread}"), format!("twins-{thread}"));
        let mut changes = vec![
            Change { collection: steps.clone(), key: key(number), value: Some(value.clone()) },
            Change { collection: twins.clone(), key: key(number), value: Some(value) },
            Change { collection: twins.clone(), key: b"newest".to_vec(), value: Some(number.to_string().into()) },
        ];
        if let Some(old) = number.checked_sub(KEPT)
            && number.is_multiple_of(2)
        {
            changes.push(Change { collection: steps, key: key(old), value: None });
            changes.push(Change { collection: twins, key: key(old), value: None });
        }
        changes
    }
}

/// Everything in an open store.
pub fn content(store: &kv_store::Store) -> kv_store::Result<Content> {
    let mut content = Content::new();
    for info in store.collections()? {
        for entry in store.collection(&info.name)?.iter() {
            let entry = entry?;
            content.insert((info.name.clone(), entry.key.to_vec()), entry.value.to_vec());
        }
    }
    Ok(content)
}
