//! From the writes that a caller asks for to the record that is logged.

use std::collections::HashMap;

use crate::{
    CollectionId, Error, Limits, Result,
    collections::Collections,
    operation::{OPERATION_HEADER_BYTES, Operation, RECORD_HEADER_BYTES, RecordBuilder, created_here},
};

/// A write that a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    pub(super) collection: &'a str,
    pub(super) key: &'a [u8],
    pub(super) action: Action<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action<'a> {
    Put(&'a [u8]),
    /// An error if the key is absent.
    Delete,
    DeleteIfPresent,
}

/// Checks everything that can be checked without looking at the state, and returns the size of the record, in bytes, not counting the
/// creation of collections.
pub(super) fn check(limits: &Limits, writes: &[Write<'_>]) -> Result<usize> {
    let mut bytes = RECORD_HEADER_BYTES;
    for write in writes {
        limits.check_name(write.collection)?;
        limits.check_key(write.key)?;
        bytes += OPERATION_HEADER_BYTES + write.key.len();
        if let Action::Put(value) = write.action {
            limits.check_value(value)?;
            bytes += value.len();
        }
    }
    limits.check_batch(bytes)?;
    Ok(bytes)
}

/// The record for `writes`, given the state after everything that was applied, and for each write whether it changes anything; `None` in the
/// place of the record if none does. For the writer only.
pub(super) fn build<'a>(
    collections: &'a Collections,
    limits: &'a Limits,
    writes: &[Write<'a>],
    bytes_expected: usize,
) -> Result<(Option<Vec<u8>>, usize)> {
    let mut builder = Builder {
        collections,
        limits,
        record: RecordBuilder::with_capacity(bytes_expected),
        resolved: None,
        created: HashMap::new(),
        touched: HashMap::new(),
        remember: writes.len() > 1 && writes.iter().any(|write| !matches!(write.action, Action::Put(_))),
        deleted: 0,
    };
    for write in writes {
        builder.add(write)?;
    }
    let record = (!builder.record.is_empty()).then(|| builder.record.finish());
    Ok((record, builder.deleted))
}

struct Builder<'a> {
    collections: &'a Collections,
    limits: &'a Limits,
    record: RecordBuilder,
    /// The collection resolved last: most writes of a batch are to the same one.
    resolved: Option<(&'a str, CollectionId)>,
    created: HashMap<&'a str, CollectionId>,
    /// Whether the keys written so far hold a value.
    touched: HashMap<(&'a str, &'a [u8]), bool>,
    /// Whether a later deletion may ask for `touched`.
    remember: bool,
    deleted: usize,
}

impl<'a> Builder<'a> {
    fn add(&mut self, write: &Write<'a>) -> Result<()> {
        let &Write { collection: name, key, action } = write;
        match action {
            Action::Put(value) => {
                let collection = self.resolve_or_create(name)?;
                self.record.push(&Operation::Put { collection, key, value });
            }
            Action::Delete | Action::DeleteIfPresent => match self.holding(name, key)? {
                Some(collection) => {
                    self.record.push(&Operation::Delete { collection, key });
                    self.deleted += 1;
                }
                None if matches!(action, Action::Delete) => return Err(Error::KeyNotFound),
                None => return Ok(()),
            },
        }
        if self.remember {
            self.touched.insert((name, key), matches!(action, Action::Put(_)));
        }
        Ok(())
    }

    /// The collection, if the key holds a value in it at this point of the batch.
    fn holding(&mut self, name: &'a str, key: &'a [u8]) -> Result<Option<CollectionId>> {
        let Some(collection) = self.resolve(name) else { return Ok(None) };
        let holds = match self.touched.get(&(name, key)) {
            Some(&holds) => holds,
            None => self.collections.holds_newest(collection, key)?,
        };
        Ok(holds.then_some(collection))
    }

    fn resolve(&mut self, name: &'a str) -> Option<CollectionId> {
        if let Some((last, collection)) = self.resolved
            && last == name
        {
            return Some(collection);
        }
        let collection = self.created.get(name).copied().or_else(|| self.collections.names.newest(name))?;
        self.resolved = Some((name, collection));
        Some(collection)
    }

    fn resolve_or_create(&mut self, name: &'a str) -> Result<CollectionId> {
        if let Some(collection) = self.resolve(name) {
            return Ok(collection);
        }
        self.limits.check_collections(self.collections.names.live() + self.created.len())?;
        let collection = created_here(self.record.push(&Operation::Create { name }));
        self.created.insert(name, collection);
        self.resolved = Some((name, collection));
        Ok(collection)
    }
}
