//! How a version lies in the arena.
//!
//! ```text
//! head    0               4          6                8                12
//!         | position u32  | key u16  | kind, value u16| collection u32 | before u32 |
//! links   16              20         24
//!         | older u32     | jump u32 | rank u32       |   if the key has an older version
//! key, value
//! ```
//!
//! `position` counts from the memtable's base; `key` is the length of the key, `value` that of what
//! is stored for the value. `before` is the version that was added to the collection before this
//! one, of any key, or zero.
//!
//! # Jumps
//!
//! A jump leads to a version much older. Jumps are chosen as in a skew-binary list (Myers, *An
//! applicative random-access stack*, 1983), so that the version at any position is found in a
//! number of steps that grows with the logarithm of the number of versions, and no version is ever
//! changed.

use super::arena::Address;
use crate::Value;

/// The beginning of each record.
pub(super) type Head = [u8; HEAD_BYTES];
pub(super) const HEAD_BYTES: usize = 16;
const LINKS_BYTES: usize = 12;

const VALUE_BYTES_BITS: u16 = 13;
/// The longest value that lies in the arena. A longer one lies apart, with a reference counter of
/// its own, so that it is copied neither when it is read nor when the memtable is dropped.
pub(super) const ARENA_VALUE_BYTES_MAX: usize = Value::COPIED_BYTES_MAX;
const _: () = assert!(ARENA_VALUE_BYTES_MAX < 1 << VALUE_BYTES_BITS);

const HAS_OLDER: u16 = 1 << VALUE_BYTES_BITS;
const TOMBSTONE: u16 = 1 << (VALUE_BYTES_BITS + 1);
const APART: u16 = 1 << (VALUE_BYTES_BITS + 2);

/// What a version says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// It was deleted.
    Tombstone,
    /// It has this value.
    Here(&'a [u8]),
    /// It has the value with this number among those that lie apart.
    Apart(u32),
}

/// A version of a key.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) position: u32,
    pub(super) collection: u32,
    pub(super) key: &'a [u8],
    pub(super) content: Content<'a>,
    /// The version that was added to the collection before this one, of any key.
    pub(super) before: Option<Address>,
    /// `None` if this is the first version of the key in this memtable.
    pub(super) older: Option<Older>,
}

/// The way to older versions of a key.
#[derive(Clone, Copy)]
pub(super) struct Older {
    /// The version before.
    pub(super) next: Address,
    /// A version before that, or the same.
    pub(super) jump: Address,
    pub(super) rank: u32,
}

impl Older {
    fn decode(links: &[u8; LINKS_BYTES]) -> Option<Self> {
        let address = |at| Address::from_bits(number(links, at));
        Some(Self { next: address(0)?, jump: address(4)?, rank: number(links, 8) })
    }
}

/// The length of a record with this head.
pub(super) fn record_bytes(head: &Head) -> usize {
    let (flags, links) = (flags_of(head), if flags_of(head) & HAS_OLDER == 0 { 0 } else { LINKS_BYTES });
    HEAD_BYTES + links + key_bytes(head) + usize::from(flags & (HAS_OLDER - 1))
}

fn key_bytes(head: &Head) -> usize {
    usize::from(u16::from_ne_bytes([head[4], head[5]]))
}

fn flags_of(head: &Head) -> u16 {
    u16::from_ne_bytes([head[6], head[7]])
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |number| u32::from_ne_bytes(*number))
}

impl<'a> Version<'a> {
    /// Hands the pieces of the record to `push`.
    ///
    /// # Panics
    /// If the key or the value is longer than the layout allows.
    #[expect(clippy::expect_used, reason = "the limits of keys and values are checked before anything is logged")]
    pub(super) fn encode<T>(&self, push: impl FnOnce(&Head, &[&[u8]]) -> T) -> T {
        let apart;
        let (kind, value) = match self.content {
            Content::Tombstone => (TOMBSTONE, &[][..]),
            Content::Here(value) => (0, value),
            Content::Apart(number) => {
                apart = number.to_ne_bytes();
                (APART, &apart[..])
            }
        };
        let value_bytes = u16::try_from(value.len()).ok().filter(|bytes| *bytes < HAS_OLDER).expect("a short value");
        let mut links = [0; LINKS_BYTES];
        let (has_older, links) = match self.older {
            None => (0, &[][..]),
            Some(Older { next, jump, rank }) => {
                links[..4].copy_from_slice(&next.to_bits().to_ne_bytes());
                links[4..8].copy_from_slice(&jump.to_bits().to_ne_bytes());
                links[8..].copy_from_slice(&rank.to_ne_bytes());
                (HAS_OLDER, &links[..])
            }
        };
        let key_bytes = u16::try_from(self.key.len()).expect("a key within the limits");
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&self.position.to_ne_bytes());
        head[4..6].copy_from_slice(&key_bytes.to_ne_bytes());
        head[6..8].copy_from_slice(&(kind | has_older | value_bytes).to_ne_bytes());
        head[8..12].copy_from_slice(&self.collection.to_ne_bytes());
        head[12..].copy_from_slice(&self.before.map_or(0, Address::to_bits).to_ne_bytes());
        push(&head, &[links, self.key, value])
    }

    /// The version in a record.
    #[inline]
    pub(super) fn decode(record: &'a [u8]) -> Self {
        let Some((head, rest)) = record.split_first_chunk::<HEAD_BYTES>() else { return Self::NONE };
        let flags = flags_of(head);
        let (older, rest) = match rest.split_first_chunk::<LINKS_BYTES>() {
            Some((links, rest)) if flags & HAS_OLDER != 0 => (Older::decode(links), rest),
            _ => (None, rest),
        };
        let (key, value) = rest.split_at(key_bytes(head).min(rest.len()));
        let content = match flags & (TOMBSTONE | APART) {
            0 => Content::Here(value),
            APART => Content::Apart(number(value, 0)),
            _ => Content::Tombstone,
        };
        let before = Address::from_bits(number(head, 12));
        Self { position: number(head, 0), collection: number(head, 8), key, content, before, older }
    }

    const NONE: Version<'static> = Version {
        position: u32::MAX,
        collection: u32::MAX,
        key: &[],
        content: Content::Tombstone,
        before: None,
        older: None,
    };

    /// The way from a version that comes after `self`, which lies at `address`. `at` reads a
    /// version.
    pub(super) fn way_back(&self, address: Address, at: impl Fn(Address) -> Version<'a>) -> Older {
        if let Some(Older { jump, rank, .. }) = self.older
            && let Some(from_there) = at(jump).older
            && from_there.rank == rank
        {
            return Older { next: address, jump: from_there.jump, rank: rank + 1 };
        }
        Older { next: address, jump: address, rank: 0 }
    }

    /// The newest version that is not above `position`, from this one on, which lies at `address`.
    #[inline]
    pub(super) fn seen_at(
        self,
        address: Address,
        position: u32,
        at: impl Fn(Address) -> Version<'a>,
    ) -> Option<(Address, Version<'a>)> {
        let mut seen = (address, self);
        while seen.1.position > position {
            let older = seen.1.older?;
            let far = at(older.jump);
            seen = if far.position > position { (older.jump, far) } else { (older.next, at(older.next)) };
        }
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;
    use crate::collections::memtable::arena::Writer;

    #[test]
    fn what_is_encoded_is_decoded() {
        let (mut arena, long) = (Writer::new(), vec![7; ARENA_VALUE_BYTES_MAX]);
        let (key_max, mut previous) = (vec![b'k'; usize::from(u16::MAX)], None);
        for key in [&b"k"[..], b"key", &key_max] {
            for content in [
                Content::Tombstone,
                Content::Here(b""),
                Content::Here(b"value"),
                Content::Here(&long),
                Content::Apart(7),
            ] {
                let new = Version { position: 5, collection: 6, key, content, before: previous, older: None };
                let first = new.encode(|head, pieces| arena.push(head, pieces));
                let way = Older { next: first, jump: first, rank: 9 };
                let later = Version { position: 8, older: Some(way), ..new };
                let later = later.encode(|head, pieces| arena.push(head, pieces));
                let [first_read, later_read] = [first, later].map(|at| Version::decode(arena.arena().record(at)));
                assert_eq!((first_read.position, first_read.collection), (5, 6));
                assert_eq!((first_read.key, first_read.content), (key, content));
                assert!(first_read.before == previous && first_read.older.is_none());
                assert_eq!((later_read.position, later_read.key, later_read.content), (8, key, content));
                assert!(later_read.before == previous);
                assert!(
                    matches!(later_read.older, Some(Older { next, jump, rank: 9 }) if next == first && jump == first)
                );
                previous = Some(first);
            }
        }
    }

    /// Of a key with many versions, the one at each position is found, in few steps.
    #[test]
    fn any_version_is_found_in_few_steps() {
        for versions in [1, 2, 3, 10, 1000, 100_000_u32] {
            let mut arena = Writer::new();
            let records = Arc::clone(arena.arena());
            let steps = Cell::new(0);
            let at = |address| {
                steps.set(steps.get() + 1);
                Version::decode(records.record(address))
            };
            let mut newest: Option<Address> = None;
            for number in 1..=versions {
                let older = newest.map(|newest| at(newest).way_back(newest, at));
                // Each at an even position.
                let (position, content) = (2 * number, Content::Tombstone);
                let version = Version { position, collection: 0, key: b"k", content, before: None, older };
                newest = Some(version.encode(|head, pieces| arena.push(head, pieces)));
            }
            let newest_at = newest.unwrap();
            let newest = Version::decode(records.record(newest_at));
            let limit = 4 * (versions.ilog2() + 1);
            for position in (0..=2 * versions + 1).step_by((versions as usize / 500).max(1)) {
                steps.set(0);
                let seen = newest.seen_at(newest_at, position, at);
                let seen = seen.map(|(seen_at, version)| {
                    assert_eq!(Version::decode(records.record(seen_at)).position, version.position);
                    version.position
                });
                let expected = position / 2 * 2;
                assert_eq!(seen, (expected > 0).then_some(expected.min(2 * versions)), "of {versions} at {position}");
                assert!(steps.get() <= limit, "{} steps to {position} of {versions}", steps.get());
            }
        }
    }
}
