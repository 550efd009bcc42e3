//! How much a collection holds, over the parts of a stack.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use kv_core::{CollectionId, CollectionSize, Cursor, Result};

use super::{
    open_part::OpenPart,
    stack::{Stack, find_many},
};

/// How many keys are looked up together.
const KEYS_AT_ONCE: usize = 128;

/// How much a part changes the size of one collection: entries, and bytes of keys and values. Not
/// known at first.
///
/// This does not depend on how the entries below the part are divided into parts. So it stays true
/// for as long as the part is open: what is merged below it changes nothing.
///
/// There is no lock, because a child made by `fork` may read. Threads that count at the same time
/// come to the same result.
#[derive(Debug, Default)]
pub(super) struct Delta {
    entries: AtomicI64,
    bytes: AtomicI64,
    known: AtomicBool,
}

impl Delta {
    fn get(&self) -> Option<(i64, i64)> {
        // Pairs with the store in `set`: what is known was stored before.
        let known = self.known.load(Ordering::Acquire);
        known.then(|| (self.entries.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed)))
    }

    fn set(&self, (entries, bytes): (i64, i64)) {
        self.entries.store(entries, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.known.store(true, Ordering::Release);
    }
}

impl Stack {
    /// How much a collection holds. Looks up the keys of the parts that were not counted yet in the
    /// parts below them.
    pub(crate) fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        let holders = self.parts.iter().filter(|part| part.section(collection).is_some());
        let holders: Vec<Arc<OpenPart>> = holders.cloned().collect();
        let (mut entries, mut bytes) = (0, 0);
        for (at, part) in holders.iter().enumerate() {
            let delta = delta(part, collection, &holders[at + 1..])?;
            entries += delta.0;
            bytes += delta.1;
        }
        // If a merge has left out entries of a dropped collection, the rest may add up to less than
        // nothing.
        Ok(CollectionSize { entries: entries.max(0) as u64, bytes: bytes.max(0) as u64 })
    }
}

fn delta(part: &Arc<OpenPart>, collection: CollectionId, below: &[Arc<OpenPart>]) -> Result<(i64, i64)> {
    let (Some(section), Some(known)) = (part.section(collection), part.delta(collection)) else { return Ok((0, 0)) };
    let puts = ((section.entries - section.tombstones) as i64, section.bytes as i64);
    if below.is_empty() {
        return Ok(puts);
    }
    if let Some(delta) = known.get() {
        return Ok(delta);
    }
    let hidden = hidden(part, collection, below)?;
    let delta = (puts.0 - hidden.0, puts.1 - hidden.1);
    known.set(delta);
    Ok(delta)
}

/// What the entries of a part, including tombstones, hide of the parts below it.
fn hidden(part: &Arc<OpenPart>, collection: CollectionId, below: &[Arc<OpenPart>]) -> Result<(i64, i64)> {
    let (mut entries, mut bytes) = (0, 0);
    let Some(section) = part.section(collection) else { return Ok((0, 0)) };
    let mut cursor = part.cursor(section, std::ops::Bound::Unbounded, std::ops::Bound::Unbounded)?;
    loop {
        let mut keys = Vec::with_capacity(KEYS_AT_ONCE);
        while keys.len() < KEYS_AT_ONCE && cursor.advance()? {
            keys.push(cursor.cursor.key_handle());
        }
        let sought: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
        for found in find_many(below, collection, &sought)?.into_iter().flatten() {
            entries += 1;
            bytes += found.bytes() as i64;
        }
        if keys.len() < KEYS_AT_ONCE {
            return Ok((entries, bytes));
        }
    }
}
