//! Any [`Checkpointer`] as an engine.

use std::{
    collections::{BTreeMap, btree_map::Iter},
    mem,
    ops::Bound,
    path::Path,
    sync::Arc,
};

use kv_core::{Change, Changes, Checkpoint, CheckpointHead, Checkpointer, CollectionId, Cursor, Epoch, LogId, Lsn};

use crate::harness::{
    engine::{Database, Engine, Level, Promise, Result, Role, Session, Unsupported},
    load_once::LoadOnce,
};

/// The one collection of the checkpoints.
const COLLECTION: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };

/// Any [`Checkpointer`], measured without a store around it.
///
/// | call | what the checkpointer does |
/// |---|---|
/// | put_batch | nothing: the entries are kept in a `BTreeMap` |
/// | sync | writes all entries as the first checkpoint. Without a sync, the first get or scan does so |
/// | get, scan | reads the checkpoint in place |
/// | checkpoint | copies the newest checkpoint into a whole new one: the time of writing, without that of sorting |
/// | open | opens the newest checkpoint |
///
/// Nothing survives before the sync. So a checkpointer is opened for [`Level::Process`], the level
/// for loads and reads, with the promise [`Promise::Later`]. There are no puts and no updates, and
/// no batches once there is a checkpoint.
///
/// ```
/// use std::sync::Arc;
///
/// use kv_bench::harness::{
///     Engine,
///     engine::{Level, Promise, Role},
///     engines::CheckpointerAlone,
/// };
/// use kv_core::MemoryCheckpointer;
///
/// static MEMORY_CHECKPOINTER: CheckpointerAlone = CheckpointerAlone {
///     name: "memory-checkpointer",
///     role: Role::Part,
///     settings: "kv-core's MemoryCheckpointer",
///     promise: Promise::Nothing, // its checkpoints end with the process
///     open: |_| Ok(Arc::new(MemoryCheckpointer::new())),
/// };
///
/// # let directory = tempfile::tempdir()?;
/// let database = MEMORY_CHECKPOINTER.open(directory.path(), Level::Process)?;
/// let mut session = database.session()?;
/// session.put_batch(&[(b"alice", b"Alice"), (b"bob", b"Bob")])?;
/// database.sync()?;
/// session.get(b"alice", &mut |value| assert_eq!(value, b"Alice"))?;
/// # Ok::<(), kv_bench::harness::engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CheckpointerAlone {
    /// The name: see [`Engine::name`].
    pub name: &'static str,
    /// The role, usually [`Role::Part`].
    pub role: Role,
    /// The settings: see [`Engine::settings`].
    pub settings: &'static str,
    /// [`Promise::Later`], or [`Promise::Nothing`] if the checkpoints do not survive the process.
    pub promise: Promise,
    /// Opens the checkpointer of a directory that exists and may be empty.
    pub open: fn(&Path) -> Result<Arc<dyn Checkpointer>>,
}

impl Engine for CheckpointerAlone {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn settings(&self, _: Level) -> String {
        self.settings.to_owned()
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        (level == Level::Process).then_some(self.promise)
    }

    fn open(&self, directory: &Path, _: Level) -> Result<Box<dyn Database>> {
        let checkpointer = (self.open)(directory)?;
        let newest = checkpointer.list()?.first().map(|id| checkpointer.open(*id)).transpose()?;
        let entries = newest.map_or_else(LoadOnce::new, LoadOnce::loaded);
        Ok(Box::new(Opened { checkpointer, entries }))
    }
}

type Entries = BTreeMap<Box<[u8]>, Box<[u8]>>;

struct Opened {
    checkpointer: Arc<dyn Checkpointer>,
    entries: LoadOnce<Entries, Arc<dyn Checkpoint>>,
}

impl Opened {
    #[inline]
    fn newest(&self) -> Result<Option<&dyn Checkpoint>> {
        let checkpoint =
            self.entries.read(|entries| Ok(self.checkpointer.write(None, &mut Loaded::new(entries))?))?;
        Ok(checkpoint.map(|checkpoint| &**checkpoint))
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }

    fn sync(&self) -> Result {
        self.newest().map(drop)
    }

    fn checkpoint(&self) -> Result {
        if let Some(checkpoint) = self.newest()? {
            let older = self.checkpointer.list()?;
            let lsn = older.first().map_or(Lsn::START, |newest| newest.lsn).next();
            let mut changes = Copied::new(checkpoint, lsn)?;
            // An open checkpoint stays readable after this. If they stayed listed, the checkpointer
            // would take them for damaged ones, which it never removes.
            older.iter().try_for_each(|id| self.checkpointer.remove(*id))?;
            self.checkpointer.write(None, &mut changes)?;
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

impl Session for &Opened {
    fn put(&mut self, _: &[u8], _: &[u8]) -> Result {
        Err(Unsupported("a checkpoint is written as a whole").into())
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        self.entries.load(|loading| {
            loading.extend(entries.iter().map(|(key, value)| ((*key).into(), (*value).into())));
            Ok(())
        })
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(checkpoint) = self.newest()? {
            checkpoint.get_with(COLLECTION, key, read)?;
        }
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if let Some(checkpoint) = self.newest()? {
            let mut cursor = checkpoint.range(COLLECTION, Bound::Included(from), Bound::Unbounded)?;
            while cursor.advance()? && read(cursor.key(), cursor.value()) {}
        }
        Ok(())
    }
}

/// The source of the first checkpoint.
struct Loaded<'a> {
    head: CheckpointHead,
    name: [u8; 12],
    name_is_given: bool,
    entries: Iter<'a, Box<[u8]>, Box<[u8]>>,
}

impl<'a> Loaded<'a> {
    fn new(entries: &'a Entries) -> Self {
        let head = CheckpointHead { epoch: Epoch(1), lsn: COLLECTION.lsn, log_id: LogId(1) };
        Self { head, name: COLLECTION.to_key(), name_is_given: false, entries: entries.iter() }
    }
}

impl Changes for Loaded<'_> {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> kv_core::Result<Option<Change<'_>>> {
        if !mem::replace(&mut self.name_is_given, true) {
            return Ok(Some(name_of_the_collection(&self.name)));
        }
        Ok(self.entries.next().map(|(key, value)| Change { collection: COLLECTION, key, value: Some(value) }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// The change that every first checkpoint begins with.
fn name_of_the_collection(key: &[u8; 12]) -> Change<'_> {
    Change { collection: CollectionId::NAMES, key, value: Some(b"bench") }
}

/// The source of a further checkpoint: all entries of an open one.
struct Copied {
    head: CheckpointHead,
    name: [u8; 12],
    name_is_given: bool,
    entries: Box<dyn Cursor>,
}

impl Copied {
    fn new(checkpoint: &dyn Checkpoint, lsn: Lsn) -> kv_core::Result<Self> {
        let head = CheckpointHead { lsn, ..*checkpoint.head() };
        let entries = checkpoint.range(COLLECTION, Bound::Unbounded, Bound::Unbounded)?;
        Ok(Self { head, name: COLLECTION.to_key(), name_is_given: false, entries })
    }
}

impl Changes for Copied {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> kv_core::Result<Option<Change<'_>>> {
        if !mem::replace(&mut self.name_is_given, true) {
            return Ok(Some(name_of_the_collection(&self.name)));
        }
        let Self { entries, .. } = self;
        let is_there = entries.advance()?;
        Ok(is_there.then(|| Change { collection: COLLECTION, key: entries.key(), value: Some(entries.value()) }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}
