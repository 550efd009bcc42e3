//! A record that is being built, and the state that it would lead to.

mod ranges;

use std::{
    collections::HashMap,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    CollectionId, Entry, Error, Limits, Lsn, Result, Value,
    collections::{Collections, Direction, Ends, Narrowed, PendingChanges, Walk, WriterToken},
    operation::{OPERATION_HEADER_BYTES, Operation, RecordBuilder, created_here},
};

/// Changes on top of everything that was applied so far. They become one record, or nothing. A
/// pending write is used only while the writer's lock is held, so the state below it does not
/// change.
///
/// Callers have checked new keys and values against the limits, and everything else against the
/// caps of the format. New names are checked here.
pub(super) struct PendingWrite<'a> {
    collections: &'a Arc<Collections>,
    writer: &'a WriterToken,
    limits: &'a Limits,
    record: RecordBuilder,
    /// The collections that were touched, by their names.
    touched: HashMap<Arc<str>, Touched>,
    /// The collection that was looked up last. It is kept because most changes are to the same
    /// collection as the one before.
    resolved: Option<(Arc<str>, CollectionId)>,
    /// How many collections there would be after these changes.
    live: usize,
    /// Whether the changes may be read before they are committed, and so have to be kept.
    reads_own_writes: bool,
    /// What was found at the ends of collections that were popped from.
    popped: HashMap<CollectionId, Ends>,
    observed: Observed,
}

/// The highest position of the versions, deletions and names in memory that were read;
/// [`Lsn::START`] if there were none. An answer depends on it.
///
/// It is atomic because a closure may share its transaction among threads. `Relaxed` is enough: the
/// position is used only after the closure has ended, and its borrows in other threads have ended
/// by then, too.
#[derive(Debug, Default)]
pub(super) struct Observed(AtomicU64);

impl Observed {
    pub(super) fn note(&self, lsn: Lsn) {
        if lsn > self.position() {
            self.0.fetch_max(lsn.0, Ordering::Relaxed);
        }
    }

    pub(super) fn position(&self) -> Lsn {
        Lsn(self.0.load(Ordering::Relaxed))
    }
}

/// What is left of a pending write, to be committed.
pub(super) struct Finished {
    /// The record; `None` if nothing was changed.
    pub(super) record: Option<Vec<u8>>,
    /// What was [observed](PendingWrite::observed).
    pub(super) observed: Lsn,
    /// What was found at the ends of collections that were popped from.
    pub(super) popped: HashMap<CollectionId, Ends>,
}

/// Stands for the position of a pending write, which it does not have yet: the highest.
const THIS_RECORD: Lsn = Lsn(u64::MAX);

/// A collection as the pending write leaves it.
#[derive(Default)]
struct Touched {
    /// `None` if there is no collection of that name.
    id: Option<CollectionId>,
    changes: PendingChanges,
}

impl<'a> PendingWrite<'a> {
    /// A pending write without changes. With `reads_own_writes: false` it does not keep its changes
    /// for reading, and the caller must not read what it has changed.
    pub(super) fn new(
        collections: &'a Arc<Collections>,
        writer: &'a WriterToken,
        limits: &'a Limits,
        bytes_expected: usize,
        reads_own_writes: bool,
    ) -> Self {
        Self {
            collections,
            writer,
            limits,
            record: RecordBuilder::with_capacity(bytes_expected),
            touched: HashMap::new(),
            resolved: None,
            live: writer.names.live(),
            reads_own_writes,
            popped: HashMap::new(),
            observed: Observed::default(),
        }
    }

    /// What an answer without a record depends on.
    pub(super) fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The record, and what was read.
    pub(super) fn finish(self) -> Finished {
        let observed = self.observed.position();
        let mut popped = self.popped;
        popped.retain(|collection, _| !collection.is_created_here());
        Finished { record: (!self.record.is_empty()).then(|| self.record.finish()), observed, popped }
    }

    /// Sets the value of a key, in a collection that is created if it does not exist.
    pub(super) fn put(&mut self, name: &str, key: &[u8], value: &[u8]) -> Result<()> {
        let collection = match self.resolve(name) {
            Some(collection) => collection,
            None => {
                let first = Operation::Put { collection: created_here(0), key, value };
                self.check_room(&[Operation::Create { name }, first])?;
                self.create_new(name)?
            }
        };
        self.push(&Operation::Put { collection, key, value })?;
        if let Some(ends) = self.popped.get_mut(&collection) {
            ends.put(key);
        }
        self.stage(name, key, Some(value));
        Ok(())
    }

    /// Deletes a key if it is present, and returns whether it was.
    pub(super) fn delete(&mut self, name: &str, key: &[u8]) -> Result<bool> {
        let is_present = self.resolve(name).is_some() && self.get_with(name, key, &mut |_| {})?;
        if is_present {
            self.delete_present(name, key)?;
        }
        Ok(is_present)
    }

    /// Creates an empty collection; `false` if it exists already.
    pub(super) fn create(&mut self, name: &str) -> Result<bool> {
        if self.resolve(name).is_some() {
            return Ok(false);
        }
        self.create_new(name).map(|_| true)
    }

    /// Drops a collection.
    ///
    /// # Errors
    /// [`CollectionNotFound`](Error::CollectionNotFound).
    pub(super) fn drop_collection(&mut self, name: &str) -> Result<()> {
        let collection = self.resolve_existing(name)?;
        self.push(&Operation::Drop { collection, name })?;
        self.popped.remove(&collection);
        self.live -= 1;
        self.set(name, Touched::default());
        Ok(())
    }

    /// Empties a collection by replacing it with a new one, which has another identity.
    ///
    /// # Errors
    /// [`CollectionNotFound`](Error::CollectionNotFound).
    pub(super) fn clear(&mut self, name: &str) -> Result<()> {
        let collection = self.resolve_existing(name)?;
        self.check_room(&[Operation::Drop { collection, name }, Operation::Create { name }])?;
        self.drop_collection(name)?;
        self.push_create(name).map(|_| ())
    }

    /// Renames a collection. The new name must be free.
    ///
    /// # Errors
    /// [`CollectionNotFound`](Error::CollectionNotFound),
    /// [`CollectionExists`](Error::CollectionExists).
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let collection = self.resolve_existing(from)?;
        if self.resolve(to).is_some() {
            return Err(Error::CollectionExists { name: to.to_owned() });
        }
        self.limits.check_name(to)?;
        self.push(&Operation::Rename { collection, from, to })?;
        let changes = self.touched.remove(from).map(|touched| touched.changes).unwrap_or_default();
        self.set(from, Touched::default());
        self.set(to, Touched { id: Some(collection), changes });
        Ok(())
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        match self.changed(name, key) {
            Some(value) => Ok(value.clone()),
            None => {
                self.stored(name).map_or(Ok(None), |id| self.note(self.collections.get_newest(self.writer, id, key)?))
            }
        }
    }

    /// Calls `read` with the value of a key. Returns `false`, without a call, if the key is absent.
    pub(super) fn get_with(&self, name: &str, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.changed(name, key) {
            Some(Some(value)) => {
                read(value);
                Ok(true)
            }
            Some(None) => Ok(false),
            None => {
                let get = |id| self.note(self.collections.get_newest_with(self.writer, id, key, read)?);
                self.stored(name).map_or(Ok(false), get)
            }
        }
    }

    /// The entry with the lowest or the highest key.
    pub(super) fn end(&self, name: &str, end: Direction) -> Result<Option<Entry>> {
        self.find_end(name, end).map(|(_, entry)| entry)
    }

    /// The entry with the lowest or the highest key, and what that depends on.
    fn find_end(&self, name: &str, end: Direction) -> Result<(Lsn, Option<Entry>)> {
        let mut entries = self.range(name, Bound::Unbounded, Bound::Unbounded);
        let entry = entries.take(end).transpose();
        self.observed.note(entries.depends_on());
        Ok((entries.depends_on(), entry?))
    }

    /// Deletes the entry with the lowest or the highest key, and returns it.
    pub(super) fn pop(&mut self, name: &str, end: Direction) -> Result<Option<Entry>> {
        let (depends_on, entry) = self.find_end(name, end)?;
        match &entry {
            Some(entry) => {
                self.delete_present(name, &entry.key)?;
                self.note_popped(name, end, &entry.key);
            }
            None => self.note_empty(name, end, Bound::Unbounded, depends_on),
        }
        Ok(entry)
    }

    /// Deletes a key that was just found.
    pub(super) fn delete_present(&mut self, name: &str, key: &[u8]) -> Result<()> {
        if let Some(collection) = self.resolve(name) {
            self.push(&Operation::Delete { collection, key })?;
            self.stage(name, key, None);
        }
        Ok(())
    }

    /// Notes that everything up to this key, from an end, is deleted.
    fn note_popped(&mut self, name: &str, end: Direction, key: &Value) {
        if let Some(collection) = self.resolve(name) {
            // A copy, because the handle may keep a removed file.
            let upto = Bound::Included(Value::copy_from(key));
            self.popped.entry(collection).or_default().narrow(end, upto, THIS_RECORD);
        }
    }

    /// Notes that nothing was found from an end up to a bound, and what that depends on.
    fn note_empty(&mut self, name: &str, end: Direction, upto: Bound<&[u8]>, depends_on: Lsn) {
        let Some(collection) = self.resolve(name) else { return };
        let is_changed_here = self.touched.get(name).is_some_and(|touched| !touched.changes.is_empty());
        let deleted = if is_changed_here { THIS_RECORD } else { depends_on };
        self.popped.entry(collection).or_default().narrow(end, upto.map(Value::copy_from), deleted);
    }

    /// Notes the position at which something was found.
    fn note<T>(&self, (lsn, found): (Lsn, T)) -> Result<T> {
        self.observed.note(lsn);
        Ok(found)
    }

    /// The entries of a collection within the bounds. They must be used before anything else is
    /// written. The caller notes what they [depend on](Walk::depends_on).
    pub(super) fn range(&self, name: &str, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Walk<'_> {
        let changes = self.touched.get(name).map(|touched| &touched.changes);
        let bounds = self.beyond_popped(name, (lower, upper));
        Walk::of_newest(self.writer, self.collections.view(), self.stored(name), bounds, changes)
    }

    /// The part of a range that may have entries after what was popped here. So the verbs of one
    /// transaction do not walk over its own deletions again. What was popped is noted as observed.
    fn beyond_popped<'b>(
        &'b self,
        name: &str,
        bounds: (Bound<&'b [u8]>, Bound<&'b [u8]>),
    ) -> (Bound<&'b [u8]>, Bound<&'b [u8]>) {
        if self.popped.is_empty() {
            return bounds;
        }
        let ends = self.find(name).and_then(|collection| self.popped.get(&collection));
        ends.map_or(bounds, |ends| {
            let Narrowed { bounds, .. } = ends.narrowed(bounds);
            bounds
        })
    }

    fn changed(&self, name: &str, key: &[u8]) -> Option<&Option<Value>> {
        self.touched.get(name)?.changes.get(key)
    }

    /// The collection of that name, if it may have entries that this pending write did not make.
    fn stored(&self, name: &str) -> Option<CollectionId> {
        self.find(name).filter(|id| !id.is_created_here())
    }

    fn find(&self, name: &str) -> Option<CollectionId> {
        match self.touched.get(name) {
            Some(touched) => touched.id,
            None => {
                let (lsn, id) = self.writer.names.newest(name);
                self.observed.note(lsn);
                id
            }
        }
    }

    fn resolve(&mut self, name: &str) -> Option<CollectionId> {
        if let Some((last, collection)) = &self.resolved
            && **last == *name
        {
            return Some(*collection);
        }
        let id = self.find(name)?;
        self.resolved = Some((name.into(), id));
        Some(id)
    }

    fn resolve_existing(&mut self, name: &str) -> Result<CollectionId> {
        self.resolve(name).ok_or_else(|| Error::CollectionNotFound { name: name.to_owned() })
    }

    fn create_new(&mut self, name: &str) -> Result<CollectionId> {
        self.limits.check_name(name)?;
        self.observed.note(self.writer.names.changed()); // the number of collections depends on it
        self.limits.check_collections(self.live)?;
        self.push_create(name)
    }

    fn push_create(&mut self, name: &str) -> Result<CollectionId> {
        let id = created_here(self.push(&Operation::Create { name })?);
        self.live += 1;
        self.set(name, Touched { id: Some(id), changes: PendingChanges::new() });
        Ok(id)
    }

    fn set(&mut self, name: &str, touched: Touched) {
        self.resolved = None;
        self.touched.insert(name.into(), touched);
    }

    fn push(&mut self, operation: &Operation<'_>) -> Result<u32> {
        self.check_room(std::slice::from_ref(operation))?;
        Ok(self.record.push(operation))
    }

    /// Checks that there is room for all of the operations. Callers check before they add the first
    /// of them, because a transaction may go on after an error and must not be left with some of
    /// them.
    fn check_room(&self, operations: &[Operation<'_>]) -> Result<()> {
        let bytes: usize = operations.iter().map(|operation| OPERATION_HEADER_BYTES + operation.bytes()).sum();
        self.limits.check_batch(self.record.len() + bytes)
    }

    fn stage(&mut self, name: &str, key: &[u8], value: Option<&[u8]>) {
        if !self.reads_own_writes {
            return;
        }
        let (key, value) = (Value::copy_from(key), value.map(Value::copy_from));
        match self.touched.get_mut(name) {
            Some(touched) => touched.changes.insert(key, value),
            None => {
                let touched = Touched { id: self.find(name), changes: PendingChanges::from([(key, value)]) };
                self.touched.insert(name.into(), touched);
                None
            }
        };
    }
}
