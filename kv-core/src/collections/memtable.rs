//! Changes in memory. A memtable is append-only: nothing in it is freed before all of it is.

mod arena;
mod index;
mod live;
mod order;
#[cfg(test)]
mod tests;
mod version;

use std::{
    collections::HashMap,
    hash::BuildHasher,
    iter,
    ops::Bound,
    sync::{
        Arc, OnceLock,
        atomic::{self, Ordering},
    },
};

use append_only_vec::AppendOnlyVec;

use self::{
    arena::{Address, Arena, Link},
    index::Index,
    live::{Known, Live, LiveAt},
    order::{Keys, Order, Sorted, beginning},
    version::{ARENA_VALUE_BYTES_MAX, Content, Version},
};
pub(crate) use self::{
    live::{Ends, Narrowed},
    order::Direction,
};
use super::steps::{self, GoOn, STEP_ENTRIES};
use crate::{
    Change, CollectionId, Lsn, Result, Value,
    sync::{Mutex, RandomState, RwLock, lock, read, write},
};

/// Roughly how many bytes the index takes for a key. It takes more or fewer from one run to the
/// next, because hashes have a random seed; but when a memtable is frozen must not depend on that.
const LINK_BYTES: u64 = 14;
/// Roughly how many bytes of memory a collection takes.
const COLLECTION_BYTES: u64 = 128;
/// For how many changes what is looked at is brought into the processor's cache ahead. The waits
/// for them overlap, and they stay there until they are needed.
pub(super) const TOUCHED_AHEAD: usize = 64;
/// A memtable of this size has to be frozen before anything else is added. Its addresses suffice
/// for twice as much, and a record is far smaller than the rest.
const BYTES_MAX: u64 = if cfg!(test) { 4 << 20 } else { 8 << 30 };

/// The changes of a stretch of the log. See the [module](self).
///
/// Versions lie in an [`Arena`], and an [`Index`] leads to the newest version of each key, from
/// where the older ones are found. For each collection, its versions are chained in the order in
/// which they were added.
///
/// One [`Writer`] adds to the active memtable. Point reads take no lock. A frozen memtable never
/// changes.
#[derive(Debug)]
pub(crate) struct Memtable {
    /// Positions count from here.
    base: Lsn,
    hasher: RandomState,
    arena: Arc<Arena>,
    index: Index,
    collections: AppendOnlyVec<Collection>,
    /// The numbers of the collections. Scans and counts use it, and the writer for a collection
    /// other than the one that it changed last.
    numbers: RwLock<HashMap<CollectionId, u32>>,
    /// The values that are too long for the arena.
    apart: AppendOnlyVec<Value>,
    /// These only count. They are not among loom's atomics, which would add an interleaving for
    /// each look at them.
    bytes: atomic::AtomicU64,
    order_bytes: atomic::AtomicU64,
    entries: atomic::AtomicUsize,
    /// Where the live keys of collections are, as far as it is known.
    live: RwLock<HashMap<CollectionId, LiveAt>>,
    /// Whether anything is known of that.
    has_live: atomic::AtomicBool,
    /// Set once the store does not need it any more.
    held: OnceLock<Held>,
}

/// Counts a memtable that only snapshots and iterators hold, until it is dropped.
#[derive(Debug)]
struct Held {
    /// The bytes of all memtables that are counted.
    all: Arc<atomic::AtomicU64>,
    /// Those of this one.
    own: atomic::AtomicU64,
}

impl Held {
    fn add(&self, bytes: u64) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A collection that was changed.
#[derive(Debug)]
struct Collection {
    id: CollectionId,
    /// The version that was added last.
    newest: Link,
    order: Mutex<Order>,
}

/// What a memtable says of a key: the position of a version, and the value or that it was deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) lsn: Lsn,
    /// `None` if the key was deleted.
    pub(crate) value: Option<SeenValue<'a>>,
}

/// A value in a memtable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SeenValue<'a> {
    Here(&'a [u8]),
    Apart(&'a Value),
}

/// A change of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    pub(crate) key: &'a [u8],
    /// The length of the new value; `None` if the key was deleted.
    pub(crate) value_bytes: Option<usize>,
    /// The same for what it replaced; `None` if that is not in this memtable.
    pub(crate) replaced: Option<Option<usize>>,
}

impl<'a> SeenValue<'a> {
    /// A handle to the value. It does not keep the memtable alive: a short value is copied.
    pub(crate) fn handle(self) -> Value {
        match self {
            Self::Here(bytes) => Value::copy_from(bytes),
            Self::Apart(value) => value.clone(),
        }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Apart(value) => value,
        }
    }
}

impl Memtable {
    /// How many keys the memtable holds, without the changes of collections' names.
    pub(crate) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// About how many bytes of memory it takes: versions, index, order, values, and what is known
    /// of where live keys are.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) + self.order_bytes.load(Ordering::Relaxed)
    }

    /// Counts about what it takes among the bytes that only snapshots and iterators hold. The store
    /// drops it.
    pub(crate) fn count_as_held(&self, all_bytes: &Arc<atomic::AtomicU64>) {
        let held = Held { all: Arc::clone(all_bytes), own: atomic::AtomicU64::new(0) };
        held.add(self.bytes());
        let _ = self.held.set(held); // counted already
    }

    /// Whether it has to be frozen before its addresses run out. Its positions cannot run out
    /// before: each takes a record of the arena.
    pub(crate) fn is_used_up(&self) -> bool {
        self.bytes() >= BYTES_MAX
    }

    /// The version of a key that is seen at a published position.
    ///
    /// The caller has loaded the position before it calls this. So the version was published in the
    /// index before, and is found (see [`index`]).
    pub(crate) fn version(&self, collection: CollectionId, key: &[u8], position: Lsn) -> Option<Seen<'_>> {
        // A memtable that is empty costs nothing. A reader that takes one for empty although a key
        // was added since loaded its position before that key was published.
        if self.bytes() == 0 {
            return None;
        }
        let newest = self.newest(collection, key)?;
        if position < self.base {
            return None;
        }
        let (_, version) = self.at(newest).seen_at(newest, self.position(position), |at| self.at(at))?;
        Some(self.seen_in(&version))
    }

    /// The newest version of a key.
    fn newest(&self, collection: CollectionId, key: &[u8]) -> Option<Address> {
        self.index.find(self.hash(collection, key), |at| self.is(at, collection, key))
    }

    fn seen_in<'a>(&'a self, version: &Version<'a>) -> Seen<'a> {
        Seen { lsn: Lsn(self.base.0 + u64::from(version.position)), value: self.value_of(version.content) }
    }

    fn value_of<'a>(&'a self, content: Content<'a>) -> Option<SeenValue<'a>> {
        match content {
            Content::Tombstone => None,
            Content::Here(bytes) => Some(SeenValue::Here(bytes)),
            Content::Apart(number) => Some(SeenValue::Apart(&self.apart[number as usize])),
        }
    }

    fn position(&self, lsn: Lsn) -> u32 {
        u32::try_from(lsn.0.saturating_sub(self.base.0)).unwrap_or(u32::MAX)
    }

    /// The keys of a collection within the bounds. The first call sorts what the collection
    /// changed, and later ones what is new since.
    pub(crate) fn scan(
        self: &Arc<Self>,
        id: CollectionId,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        position: Lsn,
    ) -> Option<MemtableScan> {
        let collection = self.collection(id)?;
        let mut order = lock(&collection.order);
        let bytes_before = order.bytes();
        let runs = order.upto(newest_of(collection), |at| self.at(at));
        let grown = order.bytes() - bytes_before;
        drop(order);
        self.order_bytes.fetch_add(grown as u64, Ordering::Relaxed);
        if let Some(held) = self.held.get() {
            held.add(grown as u64);
        }
        let keys = Keys::new(runs, bounds, |at| self.at(at).key);
        Some(MemtableScan { memtable: Arc::clone(self), id, position, keys })
    }

    /// Where the live keys of a collection are at a position, here and below.
    pub(crate) fn live(&self, id: CollectionId, position: Lsn) -> Live {
        // A reader that does not see the flag yet takes nothing for known.
        if !self.has_live.load(Ordering::Relaxed) {
            return Live::ANYWHERE;
        }
        read(&self.live).get(&id).map_or(Live::ANYWHERE, |live| live.at(position))
    }

    /// The changes of a collection from after one position up to another, the newest first.
    pub(crate) fn since(&self, id: CollectionId, after: Lsn, upto: Lsn) -> impl Iterator<Item = Made<'_>> {
        let newest = self.collection(id).and_then(newest_of);
        let changes = iter::successors(newest, |at| self.at(*at).before).map(|at| self.at(at));
        let lsn = |version: &Version<'_>| Lsn(self.base.0 + u64::from(version.position));
        let changes = changes.skip_while(move |version| lsn(version) > upto);
        changes.take_while(move |version| lsn(version) > after).map(|version| {
            let bytes = |version: &Version<'_>| self.value_of(version.content).map(|value| value.bytes().len());
            let replaced = version.older.map(|older| bytes(&self.at(older.next)));
            Made { key: version.key, value_bytes: bytes(&version), replaced }
        })
    }

    /// Everything that a frozen memtable changed, in order of (collection, key): the newest version
    /// of each key, in the collections that `exists` tells to exist.
    pub(crate) fn changes(
        self: &Arc<Self>,
        mut exists: impl FnMut(CollectionId) -> Result<bool>,
        go_on: GoOn<'_>,
    ) -> Result<MemtableChanges> {
        let changed = self.collections.iter().zip(0..).filter(|(collection, _)| newest_of(collection).is_some());
        let mut in_order: Vec<(CollectionId, usize)> =
            changed.map(|(collection, number)| (collection.id, number)).collect();
        in_order.sort_unstable();
        let mut ranks = vec![None; self.collections.len()];
        for (rank, (id, number)) in (0_u32..).zip(&in_order) {
            if (rank as usize).is_multiple_of(STEP_ENTRIES) {
                go_on()?;
            }
            ranks[*number] = exists(*id)?.then_some(rank);
        }
        // In the order of their addresses: the processor reads ahead where memory is read in order.
        let newest = steps::collect(self.index.all(), go_on)?;
        let newest = steps::sort(newest, Address::cmp, go_on)?;
        let mut found = Vec::with_capacity(newest.len());
        for step in newest.chunks(STEP_ENTRIES) {
            go_on()?;
            for &at in step {
                let version = self.at(at);
                if let Some(rank) = ranks[version.collection as usize] {
                    found.push((rank, at, beginning(version.key)));
                }
            }
        }
        drop(newest); // sorting takes memory of its own
        // Few keys are compared byte by byte: collection and beginning tell most of them apart.
        let compare = |a: &(u32, Address, u64), b: &(u32, Address, u64)| {
            (a.0, a.2).cmp(&(b.0, b.2)).then_with(|| self.at(a.1).key.cmp(self.at(b.1).key))
        };
        let sorted = steps::sort(found, compare, go_on)?;
        Ok(MemtableChanges { memtable: Arc::clone(self), sorted: sorted.into_iter() })
    }

    fn collection(&self, id: CollectionId) -> Option<&Collection> {
        let number = *read(&self.numbers).get(&id)?;
        Some(&self.collections[number as usize])
    }

    fn at(&self, at: Address) -> Version<'_> {
        Version::decode(self.arena.record(at))
    }

    /// Begins to bring versions into the processor's cache, so that the waits for them overlap.
    fn prefetch(&self, versions: impl Iterator<Item = Address>) {
        versions.for_each(|at| self.arena.prefetch(at));
    }

    /// The same for versions of a collection and for what leads to the newest ones of their keys.
    fn prefetch_newest(&self, id: CollectionId, versions: impl Iterator<Item = Address> + Clone) {
        self.prefetch(versions.clone());
        versions.for_each(|at| self.index.prefetch(self.hash(id, self.at(at).key)));
    }

    fn is(&self, at: Address, id: CollectionId, key: &[u8]) -> bool {
        let version = self.at(at);
        version.key == key && self.collections[version.collection as usize].id == id
    }

    fn hash(&self, collection: CollectionId, key: &[u8]) -> u64 {
        self.hasher.hash_one((collection, key))
    }

    fn hashes_at(&self, versions: &[Address]) -> Vec<u64> {
        // Touched first, so that the waits for the keys overlap.
        self.prefetch(versions.iter().copied());
        let hash_at = |at: &Address| {
            let version = self.at(*at);
            self.hash(self.collections[version.collection as usize].id, version.key)
        };
        versions.iter().map(hash_at).collect()
    }
}

fn newest_of(collection: &Collection) -> Option<Address> {
    Address::from_bits(collection.newest.get())
}

/// The one writer of a memtable.
#[derive(Debug)]
pub(crate) struct Writer {
    memtable: Arc<Memtable>,
    arena: arena::Writer,
    index: index::Writer,
    /// The collection that was changed last, and its number.
    last: Option<(CollectionId, u32)>,
    apart_bytes: u64,
    keys: u64,
    /// Where live keys are.
    known: Known,
}

impl Writer {
    /// The writer of a new memtable, for changes after position `base`.
    pub(crate) fn new(base: Lsn) -> Self {
        Self::with_index(base, index::Writer::new())
    }

    fn with_index(base: Lsn, index: index::Writer) -> Self {
        let arena = arena::Writer::new();
        let memtable = Memtable {
            base,
            hasher: RandomState::default(),
            arena: Arc::clone(arena.arena()),
            index: Index::default(),
            collections: AppendOnlyVec::new(),
            numbers: RwLock::default(),
            apart: AppendOnlyVec::new(),
            bytes: atomic::AtomicU64::new(0),
            order_bytes: atomic::AtomicU64::new(0),
            entries: atomic::AtomicUsize::new(0),
            live: RwLock::default(),
            has_live: atomic::AtomicBool::new(false),
            held: OnceLock::new(),
        };
        Self {
            memtable: Arc::new(memtable),
            arena,
            index,
            last: None,
            apart_bytes: 0,
            keys: 0,
            known: Known::default(),
        }
    }

    /// The writer of the memtable that comes after this one, for changes after position `base`.
    /// What is known of where live keys are goes on to it, as far as it was in use: with all that
    /// was ever known, memtables would be full before anything was added.
    pub(crate) fn successor(&mut self, base: Lsn, published: impl Fn() -> Lsn) -> Self {
        let mut next = Self::with_index(base, self.index.successor());
        next.known = self.known.carry_over();
        for id in next.known.collections() {
            let mut live = read(&self.memtable.live).get(&id).cloned().unwrap_or_default();
            live.forget_before(published());
            write(&next.memtable.live).insert(id, live);
            next.memtable.has_live.store(true, Ordering::Relaxed);
        }
        next
    }

    pub(crate) fn memtable(&self) -> &Arc<Memtable> {
        &self.memtable
    }

    /// How many bytes the versions and the index really take.
    #[cfg(test)]
    pub(crate) fn mapped_bytes(&self) -> u64 {
        self.arena.bytes() + self.index.bytes()
    }

    /// Notes what was found at the ends of a collection, for the positions from `since` on. What is
    /// known for positions before `published` is forgotten: snapshots of them read everything.
    pub(crate) fn narrow(&mut self, since: Lsn, id: CollectionId, ends: Ends, published: Lsn) {
        let live = self.known.narrow(id, ends, since);
        let mut all = write(&self.memtable.live);
        let told = all.entry(id).or_default();
        told.push(live);
        told.forget_before(published);
        drop(all);
        self.memtable.has_live.store(true, Ordering::Relaxed);
        self.count_bytes();
    }

    /// Forgets where the live keys of a collection are, which was dropped.
    pub(crate) fn forget(&mut self, id: CollectionId) {
        self.known.forget(id);
    }

    /// Brings what a change of this key will look at into the processor's cache.
    #[inline]
    pub(crate) fn touch(&self, id: CollectionId, key: &[u8]) {
        self.memtable.index.prefetch(self.memtable.hash(id, key));
    }

    /// Adds a version of a key.
    pub(crate) fn apply(&mut self, lsn: Lsn, id: CollectionId, key: &[u8], value: Option<&[u8]>) {
        let number = self.number_of(id);
        if value.is_some()
            && let Some(live) = self.known.put(id, key, lsn)
            && let Some(told) = write(&self.memtable.live).get_mut(&id)
        {
            told.push(live);
        }
        let Self { memtable, arena, index, apart_bytes, keys, .. } = self;
        let hash = memtable.hash(id, key);
        let place = index.find(&memtable.index, hash, |at| memtable.is(at, id, key));
        let collection = &memtable.collections[number as usize];
        let older = place.newest.map(|newest| memtable.at(newest).way_back(newest, |at| memtable.at(at)));
        let before = newest_of(collection);
        let content = match value {
            None => Content::Tombstone,
            Some(value) if value.len() <= ARENA_VALUE_BYTES_MAX => Content::Here(value),
            Some(value) => {
                *apart_bytes += value.len() as u64;
                Content::Apart(memtable.apart.push(Value::copy_from(value)) as u32)
            }
        };
        let version = Version { position: memtable.position(lsn), collection: number, key, content, before, older };
        let address = version.encode(|head, pieces| arena.push(head, pieces));
        index.enter(&memtable.index, hash, place, address, |versions| memtable.hashes_at(versions));
        collection.newest.set(0, address);
        let is_new = place.newest.is_none();
        if is_new && id != CollectionId::NAMES {
            memtable.entries.store(memtable.entries() + 1, Ordering::Relaxed);
        }
        *keys += u64::from(is_new);
        self.count_bytes();
    }

    fn count_bytes(&self) {
        let collections = self.memtable.collections.len() as u64 * COLLECTION_BYTES;
        let of_keys = self.arena.bytes() + self.keys * LINK_BYTES + self.apart_bytes;
        self.memtable.bytes.store(of_keys + collections + self.known.bytes() as u64, Ordering::Relaxed);
    }

    fn number_of(&mut self, id: CollectionId) -> u32 {
        if let Some((last, number)) = self.last
            && last == id
        {
            return number;
        }
        let known = read(&self.memtable.numbers).get(&id).copied();
        let number = known.unwrap_or_else(|| {
            let collection = Collection { id, newest: Link::default(), order: Mutex::default() };
            let number = self.memtable.collections.push(collection) as u32;
            write(&self.memtable.numbers).insert(id, number);
            number
        });
        self.last = Some((id, number));
        number
    }
}

/// The keys of a collection in a memtable, within bounds, as they are at a position.
#[derive(Debug)]
pub(crate) struct MemtableScan {
    memtable: Arc<Memtable>,
    id: CollectionId,
    position: Lsn,
    keys: Keys,
}

/// A version that a scan has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(Address);

impl MemtableScan {
    /// Takes the next key that has a version at the position, from the end that `direction` begins
    /// at.
    pub(crate) fn next(&mut self, direction: Direction) -> Option<Taken> {
        let memtable = &*self.memtable;
        if self.position < memtable.base {
            return None;
        }
        let position = memtable.position(self.position);
        loop {
            let key = |at| memtable.at(at).key;
            let prefetch = |ahead: &[Sorted]| memtable.prefetch_newest(self.id, ahead.iter().map(|key| key.at));
            let first = self.keys.next(direction, key, prefetch)?;
            if let Some(newest) = memtable.newest(self.id, key(first))
                && let Some((at, _)) = memtable.at(newest).seen_at(newest, position, |at| memtable.at(at))
            {
                return Some(Taken(at));
            }
        }
    }

    /// The key that was taken, and what is seen of it.
    pub(crate) fn read(&self, Taken(at): Taken) -> (&[u8], Seen<'_>) {
        let version = self.memtable.at(at);
        (version.key, self.memtable.seen_in(&version))
    }
}

/// The changes of a frozen memtable, in order.
pub(crate) struct MemtableChanges {
    memtable: Arc<Memtable>,
    sorted: std::vec::IntoIter<(u32, Address, u64)>,
}

impl MemtableChanges {
    pub(crate) fn next(&mut self) -> Option<Change<'_>> {
        if self.sorted.len().is_multiple_of(TOUCHED_AHEAD) {
            self.memtable.prefetch(self.sorted.as_slice().iter().take(TOUCHED_AHEAD).map(|(_, at, _)| *at));
        }
        let (_, at, _) = self.sorted.next()?;
        let version = self.memtable.at(at);
        let collection = self.memtable.collections[version.collection as usize].id;
        let value = self.memtable.value_of(version.content).map(SeenValue::bytes);
        Some(Change { collection, key: version.key, value })
    }
}
