//! Writes the part of a new checkpoint: what has changed.

use kv_core::{Change, Changes, CollectionId, Error, Result};

use super::new_part::NewPart;

/// Fails with [`Error::Cancelled`] if the checkpoint is no longer wanted.
pub(crate) fn go_on(changes: &dyn Changes) -> Result<()> {
    if changes.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// Writes all changes into a part that `create` makes. `None` if there is nothing to write.
///
/// `is_bottom` says that there is no part below. Then there is nothing that a deletion could hide,
/// and no tombstone is written for it.
pub(crate) fn write_changes(
    changes: &mut dyn Changes,
    is_bottom: bool,
    create: impl Fn() -> Result<NewPart>,
) -> Result<Option<NewPart>> {
    let mut part: Option<NewPart> = None;
    let mut skipped: u32 = 0;
    go_on(changes)?;
    while let Some(change) = changes.next()? {
        if is_bottom && change.value.is_none() {
            skipped = skipped.wrapping_add(1);
            if skipped.is_multiple_of(256) {
                go_on(changes)?;
            }
            continue;
        }
        match &mut part {
            Some(part) if part.is_in(change.collection) => part.insert(change.key, change.value)?,
            _ => {
                let first = OwnedChange::from(change);
                let part = match &mut part {
                    Some(part) => part,
                    None => part.insert(create()?),
                };
                part.start_collection(first.collection, 0, &mut || go_on(changes))?;
                part.insert(&first.key, first.value.as_deref())?;
            }
        }
        if let Some(part) = &mut part {
            part.ask(&mut || go_on(changes))?;
        }
    }
    Ok(part)
}

/// A copy of a change. It does not borrow the source, so the source can be asked meanwhile whether
/// to go on.
struct OwnedChange {
    collection: CollectionId,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl From<Change<'_>> for OwnedChange {
    fn from(change: Change<'_>) -> Self {
        let (key, value) = (change.key.to_vec(), change.value.map(<[u8]>::to_vec));
        Self { collection: change.collection, key, value }
    }
}
