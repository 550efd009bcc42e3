//! Maps files into memory: for reading, and for small writes to a file that has its full length.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; this module does nothing else")]

use std::{
    fs, io, mem,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapMut, UncheckedAdvice};

use crate::Origin;

/// Maps the whole of `file` for reading.
pub(crate) fn read_only(file: &fs::File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new()); // an empty range cannot be mapped
    }
    // SAFETY: the map is read-only. It is sound as long as the file is not changed or truncated
    // while it is mapped. `File::map` demands that of its callers. kv itself maps only files that
    // were renamed into place, and never writes to them again. Other users cannot enter a directory
    // that kv has created (0700). That no other program of the same user changes the file is
    // assumed.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}

/// A map of a whole file, through which it is written.
///
/// A child made by `fork` does not inherit the map. Mapped pages stay in the page cache, and
/// recovery must be able to drop them once the owner has ended. A fork by another thread while the
/// map is being made is the exception.
#[derive(Debug)]
pub(crate) struct WritableMap {
    /// Checked before the lock, which stays locked for ever in a child if another thread held it.
    origin: Origin,
    mapped: Mutex<Mapped>,
}

#[derive(Debug)]
struct Mapped {
    /// `None` only while this is dropped.
    map: Option<MmapMut>,
    /// Where bytes were copied to since [`release`](WritableMap::release) was last called: all of
    /// them are in this range.
    copied: Range<usize>,
}

impl WritableMap {
    /// Maps the whole of `file` for reading and writing.
    pub(crate) fn new(file: &fs::File) -> io::Result<Self> {
        // SAFETY: writing requires exclusive access to this value, and nothing else in this process
        // refers to these bytes: kv maps for reading only checkpoints, and never writes to them.
        // The file must not be truncated while it is mapped. `File::copy_at` demands both of its
        // callers, and other users cannot enter a directory that kv has created (0700).
        let map = unsafe { MmapMut::map_mut(file)? };
        map.advise(Advice::DontFork)?;
        // A page that was evicted comes back alone. The kernel would read ahead in larger units
        // otherwise, and a copy marks its whole unit as changed.
        map.advise(Advice::Random)?;
        let mapped = Mutex::new(Mapped { map: Some(map), copied: 0..0 });
        Ok(Self { origin: Origin::here(), mapped })
    }

    /// Copies bytes to their place in the file. Returns `false`, and copies nothing, if they do not
    /// lie within the map, or this is a child.
    pub(crate) fn copy(&self, bytes: &[u8], offset: u64) -> bool {
        let Some(mut mapped) = self.mapped() else { return false };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(bytes.len());
        let Mapped { map, copied } = &mut *mapped;
        match map.as_mut().and_then(|map| map.get_mut(range.clone())) {
            Some(place) => {
                place.copy_from_slice(bytes);
                *copied = if Range::is_empty(copied) { range } else { hull(copied, &range) };
                true
            }
            None => false,
        }
    }

    /// The map; `None` in a child, which does not have it.
    fn mapped(&self) -> Option<MutexGuard<'_, Mapped>> {
        self.origin.is_here().then(|| self.mapped.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the pages that were copied to out of the address space. They stay in the page cache,
    /// and come back when they are used.
    ///
    /// Before the kernel writes a page, it takes from every map the right to change it, and tells
    /// every processor of it: for each page if they are found one by one, but once if all of them
    /// leave the map together.
    pub(crate) fn release(&self) {
        let Some(mut mapped) = self.mapped() else { return };
        let range = mem::take(&mut mapped.copied);
        let Some(map) = mapped.map.as_ref().filter(|_| !range.is_empty()) else { return };
        // SAFETY: the map is shared, so every byte that was written through it stays in the page
        // cache. A page that is used later is mapped again with the same bytes. The range is in the
        // map, because bytes were copied to both of its ends, and the map is there, because this is
        // the process that has made it.
        let released = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        drop(released); // without it a flush takes longer, and nothing else changes
    }
}

/// The shortest range that holds both.
fn hull(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.min(other.start)..one.end.max(other.end)
}

impl Drop for WritableMap {
    fn drop(&mut self) {
        if !self.origin.is_here() {
            // In a child there is no such map, and something else may be at its address.
            mem::forget(self.mapped.get_mut().unwrap_or_else(PoisonError::into_inner).map.take());
        }
    }
}
