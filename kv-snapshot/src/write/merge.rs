//! Merges parts that lie next to each other in a stack into one.

use std::{ops::Bound, sync::Arc};

use kv_core::{CollectionId, Cursor, Result};

use super::{new_part::NewPart, pace::Pace, steps::GoOn};
use crate::read::{
    merged::{From, Merged},
    open_part::OpenPart,
};

/// Parts that become one.
pub(crate) struct Run<'a> {
    /// Newest first.
    pub(crate) parts: &'a [Arc<OpenPart>],
    /// Whether there is no part below them. Then there is nothing that a tombstone could hide, and
    /// it is left out.
    pub(crate) is_bottom: bool,
    /// Whether a collection exists. The entries of others are left out.
    pub(crate) exists: &'a dyn Fn(CollectionId) -> Result<bool>,
}

impl Run<'_> {
    /// Writes what the parts hold together into `part`: of entries with the same key, that of the
    /// newest part.
    pub(crate) fn merge(&self, part: &mut NewPart, pace: &mut Pace<'_>, go_on: GoOn<'_>) -> Result<()> {
        for collection in collections_of(self.parts) {
            part.ask(go_on)?;
            if (self.exists)(collection)? {
                self.merge_collection(collection, part, pace, go_on)?;
            }
        }
        Ok(())
    }

    fn merge_collection(
        &self,
        collection: CollectionId,
        part: &mut NewPart,
        pace: &mut Pace<'_>,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let mut cursors = Vec::new();
        let mut entries = 0;
        for part in self.parts {
            let Some(section) = part.section(collection) else { continue };
            cursors.push(part.cursor(section, Bound::Unbounded, Bound::Unbounded)?);
            entries += section.entries;
        }
        let mut merged = Merged::new(From::First, cursors);
        while merged.step()? {
            let Some(entry) = merged.current() else { break };
            if !(self.is_bottom && entry.is_tombstone()) {
                if !part.is_in(collection) {
                    part.start_collection(collection, entries, go_on)?;
                }
                part.insert(entry.key(), (!entry.is_tombstone()).then(|| entry.value()))?;
            }
            part.ask(go_on)?;
            pace.keep(part.position(), go_on)?;
        }
        Ok(())
    }
}

/// The collections that any of the parts has, in order.
pub(crate) fn collections_of(parts: &[Arc<OpenPart>]) -> Vec<CollectionId> {
    let sections = parts.iter().flat_map(|part| part.part().sections());
    let mut collections: Vec<_> = sections.map(|section| section.id).collect();
    collections.sort_unstable();
    collections.dedup();
    collections
}
