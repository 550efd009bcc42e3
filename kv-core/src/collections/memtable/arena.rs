//! Records in memory that only grows: each is written once, by the one writer of the arena, and
//! read by any number of threads without locks. Nothing is freed before the arena is dropped, which
//! gives its memory back to the system.
//!
//! An arena is a list of chunks, each twice as long as the one before, so that it takes no more
//! than it needs and nothing ever moves. The system gives memory to a chunk only when it is
//! touched.
//!
//! # Why this is sound
//!
//! - A range of an arena is written to once, between the moment when [`Writer::reserve`] takes it
//!   and the moment when its [`Address`] is made. Only the one [`Writer`] of the arena does that,
//!   through `&mut self`.
//! - An address is made only for a record that is complete ([`Writer::push`]). It reaches another
//!   thread through a [`Link`], which is stored with `Release` and loaded with `Acquire`, or inside
//!   a record that was reached through one. So the holder of an address sees the record complete.
//! - A record never changes, and its memory stays mapped while the arena exists. A reference to it
//!   borrows the arena.
//!
//! What this module cannot check is left to the [`memtable`](super) module, which addresses do not
//! leave: that an address is used only with its own arena (each memtable has one), that
//! [`Address::from_bits`] gets only what [`Address::to_bits`] or a link gave, and that the tag of a
//! link has no bits in common with its address.
#![expect(unsafe_code, reason = "memory that is written while other parts of it are read has no safe type")]

use std::{
    num::NonZeroU32,
    slice,
    sync::{
        Arc, OnceLock,
        atomic::Ordering::{Acquire, Release},
    },
};

use memmap2::{Advice, MmapMut, MmapRaw};

use super::version::{HEAD_BYTES, Head, record_bytes};
use crate::sync::AtomicU32;

/// Records begin at multiples of this many bytes.
const UNIT_BYTES: usize = 4;
/// The first chunk has two to the power of this many units: 64 KiB.
const FIRST_CHUNK_BITS: u32 = 14;
/// How much is brought into the processor's cache at once.
const LINE_BYTES: usize = 64;
/// How much of a record is prefetched: the whole of most.
const PREFETCHED_BYTES: usize = 3 * LINE_BYTES;
const CHUNKS: usize = (u32::BITS - FIRST_CHUNK_BITS) as usize;

/// The place of a record in its arena, in units.
///
/// Chunk after chunk, the highest bit of an address tells the chunk and the other bits the place in
/// it. So the lowest address is that of the first unit of the first chunk, which is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(NonZeroU32);

impl Address {
    /// As it is written into a record. It is not zero.
    pub(super) fn to_bits(self) -> u32 {
        self.0.get()
    }

    /// The address that [`to_bits`](Address::to_bits) gave; `None` for zero.
    pub(super) fn from_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(Self)
    }

    /// How many bits it takes.
    pub(super) fn width(self) -> u32 {
        self.0.ilog2() + 1
    }

    /// The number of its chunk, and the place there, in bytes.
    fn place(self) -> (usize, usize) {
        let chunk = self.0.ilog2();
        ((chunk - FIRST_CHUNK_BITS) as usize, (self.0.get() - (1 << chunk)) as usize * UNIT_BYTES)
    }
}

/// A place where an address is published, together with a few bits of the caller's. It is empty at
/// first.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(super) struct Link(AtomicU32);

impl Link {
    /// Publishes a record. `tag` must have no bits in common with the address.
    pub(super) fn set(&self, tag: u32, address: Address) {
        debug_assert_eq!(tag & address.0.get(), 0, "the tag would change the address");
        self.0.store(tag | address.0.get(), Release);
    }

    /// What was published last, tag and address in one. The address is in the bits that the tag
    /// does not use.
    pub(super) fn get(&self) -> u32 {
        self.0.load(Acquire)
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: [OnceLock<MmapRaw>; CHUNKS],
}

impl Arena {
    /// The record at an address of this arena.
    pub(super) fn record(&self, address: Address) -> &[u8] {
        let (chunk, offset) = address.place();
        let Some(chunk) = self.chunks[chunk].get() else { return &[0; HEAD_BYTES] };
        let start = chunk.as_ptr().wrapping_add(offset);
        // SAFETY: an address is that of a complete record, which begins with a head and never
        // changes (see the module). The chunk is mapped while `self` is borrowed.
        let head: &Head = unsafe { &*start.cast() };
        // SAFETY: as above. The head tells how long the record is.
        unsafe { slice::from_raw_parts(start, record_bytes(head)) }
    }

    /// Begins to bring the first bytes of a record into the processor's cache.
    pub(super) fn prefetch(&self, address: Address) {
        let (chunk, offset) = address.place();
        if let Some(chunk) = self.chunks[chunk].get() {
            let start = chunk.as_ptr().wrapping_add(offset);
            (0..PREFETCHED_BYTES).step_by(LINE_BYTES).for_each(|line| prefetch(start.wrapping_add(line)));
        }
    }
}

/// Begins to bring what lies at an address into the processor's cache, and does not wait for it.
#[inline]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: this is a hint. It reads and writes nothing, whatever the address is.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// The one writer of an arena.
#[derive(Debug)]
pub(super) struct Writer {
    arena: Arc<Arena>,
    /// The first unit that was not taken yet. It lies in a chunk, or at the end of one.
    next: u64,
}

impl Writer {
    /// The writer of a new arena. Nothing is mapped yet.
    pub(super) fn new() -> Self {
        Self { arena: Arc::default(), next: 1 << FIRST_CHUNK_BITS }
    }

    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// How many bytes were taken, with those that were left over at the ends of chunks.
    pub(super) fn bytes(&self) -> u64 {
        (self.next - (1 << FIRST_CHUNK_BITS)) * UNIT_BYTES as u64
    }

    /// Adds the record that these pieces make up, in this order.
    ///
    /// # Panics
    /// If the system has no memory left, or the arena no addresses: it has room for 16 GiB.
    pub(super) fn push(&mut self, head: &Head, pieces: &[&[u8]]) -> Address {
        let bytes = record_bytes(head);
        let (address, mut rest) = self.reserve(bytes);
        for piece in [&head[..]].iter().chain(pieces) {
            let (filled, after) = rest.split_at_mut(piece.len());
            filled.copy_from_slice(piece);
            rest = after;
        }
        assert!(rest.is_empty(), "the head says that the record is longer than its pieces");
        address
    }

    #[expect(clippy::expect_used, reason = "the memtable is frozen long before")]
    fn reserve(&mut self, bytes: usize) -> (Address, &mut [u8]) {
        let units = bytes.div_ceil(UNIT_BYTES) as u64;
        // A record lies in one chunk. What is left over at the end of one was never touched.
        let mut chunk_end = 2 << self.next.ilog2();
        while self.next + units > chunk_end {
            self.next = chunk_end;
            chunk_end *= 2;
        }
        let start = u32::try_from(self.next).ok().filter(|_| chunk_end <= 1 << u32::BITS);
        let address = Address(start.and_then(NonZeroU32::new).expect("the memtable was not frozen in time"));
        self.next += units;
        let (chunk, offset) = address.place();
        let map = || mapped((chunk_end / 2) as usize * UNIT_BYTES);
        let start = self.arena.chunks[chunk].get_or_init(map).as_mut_ptr().wrapping_add(offset);
        // SAFETY: the range lies in the chunk, and no range that was taken before overlaps it:
        // `next` is beyond them. This writer is the only one. So nothing else reads or writes the
        // range before this borrow ends and the address is given out. It is zeroed, and so
        // initialised.
        (address, unsafe { slice::from_raw_parts_mut(start, bytes) })
    }
}

/// Zeroed memory. The system gives it when it is touched, in huge pages if it has them and the
/// memory is long enough.
///
/// # Panics
/// If the system has no memory left.
#[expect(clippy::expect_used, reason = "as for any allocation: without memory there is no way on")]
fn mapped(bytes: usize) -> MmapRaw {
    let map = MmapMut::map_anon(bytes).expect("the system has no memory left");
    #[cfg(target_os = "linux")]
    let _ = map.advise(Advice::HugePage); // small pages do as well
    map.into()
}

/// Links in one piece of memory, all empty at first.
#[derive(Debug)]
pub(super) struct Links(#[cfg(not(loom))] MmapRaw, #[cfg(loom)] Vec<Link>);

#[cfg(not(loom))]
impl Links {
    /// # Panics
    /// If the system has no memory left.
    pub(super) fn new(count: usize) -> Self {
        Self(mapped(count * size_of::<Link>()))
    }

    pub(super) fn all(&self) -> &[Link] {
        // SAFETY: the memory is mapped while `self` is borrowed, aligned to a page, and accessed as
        // links only. It began as zeroes, which are empty links.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<Link>()) }
    }
}

#[cfg(loom)]
impl Links {
    pub(super) fn new(count: usize) -> Self {
        Self(std::iter::repeat_with(Link::default).take(count).collect())
    }

    pub(super) fn all(&self) -> &[Link] {
        &self.0
    }
}
