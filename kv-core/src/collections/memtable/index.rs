//! The hash index of a memtable: from a key to its newest version. It has one writer, and any
//! number of readers without locks.
//!
//! The index is divided into shards by the hash, so that only a small part of it grows at a time. A
//! shard is a table of [`Link`]s with linear probing. An entry is never removed. When a table is
//! three quarters full, the writer makes one of twice the length and publishes it. The old one
//! stays as it was, for readers that are still on it, until the memtable is dropped: the old tables
//! of a shard are together as long as its newest.
//!
//! A reader that looks for what was published finds it: it loaded the published position before it
//! loaded the table. What was entered before that position was published is in every table that it
//! may load then: in the newest one, or in one that was the newest when it was entered or later.

use std::sync::{
    OnceLock,
    atomic::Ordering::{self, Acquire, Relaxed, Release},
};

use super::arena::{Address, Link, Links, prefetch};
use crate::sync::AtomicU64;

const SHARDS: usize = if cfg!(loom) { 1 } else { 256 };
/// The fewest links that a table has.
const LINKS_MIN: usize = if cfg!(loom) { 2 } else { 8 };
/// The first chunk of links has two to the power of this many.
const FIRST_CHUNK_BITS: u32 = if cfg!(loom) { 2 } else { 12 };
const CHUNKS: usize = (u32::BITS - FIRST_CHUNK_BITS) as usize;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Index {
    /// The newest [`Table`] of each shard, as bits; zero if there is none yet.
    shards: Box<[AtomicU64]>,
    /// As in an [`Arena`](super::arena::Arena), each is twice as long as the one before.
    chunks: [OnceLock<Links>; CHUNKS],
}

/// A table of links: where it begins, how long it is, and which bits of its links are the address.
/// The other bits are those of the hash.
#[derive(Clone, Copy, Debug)]
struct Table {
    start: u32,
    length_bits: u32,
    address_bits: u32,
}

impl Table {
    fn to_bits(self) -> u64 {
        u64::from(self.start) | u64::from(self.length_bits) << 32 | u64::from(self.address_bits) << 40
    }

    /// `None` if there is no table.
    fn from_bits(bits: u64) -> Option<Self> {
        let byte = |shift: u32| (bits >> shift) as u32 & 0xFF;
        (bits != 0).then_some(Self { start: bits as u32, length_bits: byte(32), address_bits: byte(40) })
    }

    fn length(self) -> usize {
        1 << self.length_bits
    }

    /// The link where the search for a key begins.
    fn home(self, hash: u64) -> usize {
        hash as usize & (self.length() - 1)
    }

    /// Whether this number of keys leaves enough links empty.
    fn has_room_for(self, keys: u32) -> bool {
        u64::from(keys) * 4 <= (3 << self.length_bits)
    }

    /// The bits of a hash that its link holds. They are others than those that choose the shard and
    /// the first link.
    fn tag(self, hash: u64) -> u32 {
        ((hash >> 24) << self.address_bits) as u32
    }

    fn tag_in(self, link: u32) -> u32 {
        (u64::from(link) >> self.address_bits << self.address_bits) as u32
    }

    fn address_in(self, link: u32) -> Option<Address> {
        Address::from_bits(link - self.tag_in(link))
    }
}

/// Where a key is, or where it can be entered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The table and the link in it; `None` if the shard has no table yet.
    link: Option<(Table, &'a Link)>,
    /// The newest version of the key.
    pub(super) newest: Option<Address>,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(), chunks: Default::default() }
    }
}

impl Index {
    /// The newest version of a key: what has this hash and `is` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(Address) -> bool) -> Option<Address> {
        self.probe(self.table(hash, Acquire)?, hash, is).newest
    }

    /// Begins to bring the place of a key into the processor's cache.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(table) = self.table(hash, Acquire)
            && let Some(link) = self.links(table).get(table.home(hash))
        {
            prefetch(link);
        }
    }

    fn table(&self, hash: u64, ordering: Ordering) -> Option<Table> {
        Table::from_bits(self.shards[shard_of(hash)].load(ordering))
    }

    #[inline]
    fn probe(&self, table: Table, hash: u64, is: impl Fn(Address) -> bool) -> Place<'_> {
        let (links, tag) = (self.links(table), table.tag(hash));
        let (wrapped, from_home) = links.split_at_checked(table.home(hash)).unwrap_or_default();
        for link in from_home.iter().chain(wrapped) {
            let found = link.get();
            if found == 0 {
                return Place { link: Some((table, link)), newest: None };
            }
            if table.tag_in(found) == tag
                && let Some(address) = table.address_in(found)
                && is(address)
            {
                return Place { link: Some((table, link)), newest: Some(address) };
            }
        }
        Place { link: None, newest: None } // there is always an empty link
    }

    fn links(&self, table: Table) -> &[Link] {
        let chunk = table.start.ilog2();
        let start = table.start as usize - (1 << chunk);
        let links = self.chunks[(chunk - FIRST_CHUNK_BITS) as usize].get();
        links.and_then(|links| links.all().get(start..start + table.length())).unwrap_or_default()
    }

    /// The newest version of each key, in no particular order. Nothing must be entered meanwhile.
    pub(super) fn all(&self) -> impl Iterator<Item = Address> {
        let tables = self.shards.iter().filter_map(|shard| Table::from_bits(shard.load(Acquire)));
        tables.flat_map(|table| self.links(table).iter().filter_map(move |link| table.address_in(link.get())))
    }
}

/// The one writer of an index.
#[derive(Debug)]
pub(super) struct Writer {
    /// How many keys each shard has.
    used: Box<[u32; SHARDS]>,
    /// The first link that no table has. It lies in a chunk, or at the end of one.
    next: u64,
    /// The width of the address that was entered last. None is wider.
    width: u32,
    /// How long the first table of a shard is, and how many bits it has for an address.
    first_bits: (u32, u32),
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { used: Box::new([0; SHARDS]), next: 1 << FIRST_CHUNK_BITS, width: 0, first_bits: (LINKS_MIN.ilog2(), 0) }
    }

    /// The writer of a new index that will not grow if it gets as many keys and as wide addresses
    /// as this one has.
    pub(super) fn successor(&self) -> Self {
        let keys: usize = self.used.iter().map(|used| *used as usize).sum();
        let length = (keys * 2 / SHARDS).next_power_of_two().max(LINKS_MIN);
        Self { first_bits: (length.ilog2(), self.width), ..Self::new() }
    }

    /// How many bytes the tables take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        (self.next - (1 << FIRST_CHUNK_BITS)) * size_of::<Link>() as u64
    }

    /// Where a key is, or can be [entered](Writer::enter).
    #[inline]
    pub(super) fn find<'a>(&self, index: &'a Index, hash: u64, is: impl Fn(Address) -> bool) -> Place<'a> {
        match index.table(hash, Relaxed) {
            Some(table) => index.probe(table, hash, is),
            None => Place { link: None, newest: None },
        }
    }

    /// Publishes a version of a key, at the place where the key was found. `hashes_of` computes the
    /// hashes of the keys of other versions.
    #[inline]
    pub(super) fn enter(
        &mut self,
        index: &Index,
        hash: u64,
        place: Place<'_>,
        address: Address,
        hashes_of: impl Fn(&[Address]) -> Vec<u64>,
    ) {
        self.width = address.width();
        let used = &mut self.used[shard_of(hash)];
        *used += u32::from(place.newest.is_none());
        let has_room = |table: Table| table.has_room_for(*used) && self.width <= table.address_bits;
        let mut link = place.link.filter(|(table, _)| has_room(*table));
        if link.is_none() {
            self.rebuild(index, hash, address, hashes_of);
            link = self.find(index, hash, |at| Some(at) == place.newest).link;
        }
        if let Some((table, link)) = link {
            link.set(table.tag(hash), address);
        }
    }

    /// Replaces the table of a shard by one with room for its keys and for an address of this
    /// width.
    #[cold]
    fn rebuild(&mut self, index: &Index, hash: u64, address: Address, hashes_of: impl Fn(&[Address]) -> Vec<u64>) {
        let old = index.table(hash, Relaxed);
        let used = self.used[shard_of(hash)];
        let length_bits =
            old.map_or(self.first_bits.0, |table| table.length_bits + u32::from(!table.has_room_for(used)));
        // One bit more than now, so that the next rebuilding for longer addresses is far away.
        let address_bits = (address.width() + 1).max(self.first_bits.1).min(u32::BITS);
        let new = self.take(index, length_bits, address_bits);
        let old_links = old.into_iter().flat_map(|table| index.links(table).iter().map(move |link| (table, link)));
        let kept: Vec<_> = old_links.filter_map(|(table, link)| table.address_in(link.get())).collect();
        for (kept, hash) in kept.iter().copied().zip(hashes_of(&kept)) {
            if let Some((table, link)) = index.probe(new, hash, |_| false).link {
                link.set(table.tag(hash), kept);
            }
        }
        index.shards[shard_of(hash)].store(new.to_bits(), Release);
    }

    /// An empty table.
    fn take(&mut self, index: &Index, length_bits: u32, address_bits: u32) -> Table {
        let length = 1_u64 << length_bits;
        // A table lies in one chunk. What is left over at the end of one was never touched.
        let mut chunk_end = 2 << self.next.ilog2();
        while self.next + length > chunk_end {
            self.next = chunk_end;
            chunk_end *= 2;
        }
        let table = Table { start: self.next as u32, length_bits, address_bits };
        self.next += length;
        let chunk = table.start.ilog2() - FIRST_CHUNK_BITS;
        index.chunks[chunk as usize].get_or_init(|| Links::new((chunk_end / 2) as usize));
        table
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> 56) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::collections::memtable::arena;

    /// Keys are numbers, and their hashes are chosen to collide in every way.
    #[test]
    fn keys_are_found_whatever_their_hashes_have_in_common() {
        for hash_of in [|key| key, |key| key << 24, |key| key << 56, |key| key << 40, |_| 0, |key: u64| key % 7] {
            let mut arena = arena::Writer::new();
            let (index, mut writer) = (Index::default(), Writer::new());
            let mut keys = HashMap::new();
            for round in 0..2 {
                for key in 0..500_u64 {
                    let hash = hash_of(key);
                    let place = writer.find(&index, hash, |at| keys.get(&at.to_bits()) == Some(&key));
                    assert_eq!(place.newest.is_some(), round > 0, "{key}");
                    let address = arena.push(&[0; 16], &[]);
                    keys.insert(address.to_bits(), key);
                    writer.enter(&index, hash, place, address, |all| {
                        all.iter().map(|at| hash_of(keys[&at.to_bits()])).collect()
                    });
                    let found = index.find(hash, |at| keys[&at.to_bits()] == key);
                    assert_eq!(found, Some(address), "{key}");
                }
            }
            assert_eq!(index.all().count(), 500);
            assert_eq!(index.find(hash_of(500), |at| keys[&at.to_bits()] == 500), None);
        }
    }

    #[test]
    fn a_successor_does_not_grow_if_as_many_keys_come_again() {
        let mut first = Writer::new();
        let tables_of = |writer: &mut Writer| {
            let (index, mut arena, mut hashes) = (Index::default(), arena::Writer::new(), HashMap::new());
            for key in 0..50_000_u64 {
                let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let place = writer.find(&index, hash, |_| false);
                let address = arena.push(&[0; 16], &[]);
                hashes.insert(address.to_bits(), hash);
                writer.enter(&index, hash, place, address, |all| all.iter().map(|at| hashes[&at.to_bits()]).collect());
            }
            let longest = index.shards.iter().filter_map(|shard| Table::from_bits(shard.load(Relaxed)));
            (longest.map(Table::length).sum::<usize>() * size_of::<Link>(), writer.bytes() as usize)
        };
        let (newest, all) = tables_of(&mut first);
        assert!(all > newest + newest / 2, "it grew: {newest} of {all} bytes are the newest tables");
        let (newest, all) = tables_of(&mut first.successor());
        assert_eq!(all, newest, "each shard had one table");
    }
}
