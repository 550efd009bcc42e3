//! Verifies what no checksum shows: that parts hold what they were to hold.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use kv_core::{CheckpointId, CollectionId, Cursor, Error, Result};
use kv_vfs::Vfs;

use crate::{
    damage::Damage,
    format::{
        content::ContentHasher,
        manifest::{Manifest, Origins, PartRef},
        names,
    },
    inventory::Inventory,
    read::{
        checkpoint::read_manifest,
        cursor::PartCursor,
        merged::{From, Merged},
        open_part::{OpenPart, OpenParts, WatchedCursor},
        stack::Stack,
    },
    write::merge::collections_of,
};

/// What [`verify_deep`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct DeepReport {
    /// How many parts hold the entries that were to be written.
    pub parts: usize,
    /// How many merged parts hold the same as the parts that they were merged from.
    pub merges: usize,
    /// What is wrong.
    pub findings: Vec<Error>,
    /// What could not be checked, and why: sentences for people.
    pub unchecked: Vec<String>,
}

/// Compares each part that a listed checkpoint names with the digest of the entries that were to be
/// written into it. If a listed checkpoint still names the parts that it was merged from, merges
/// these again, in memory, and compares the result entry by entry.
///
/// Call [`verify`](crate::verify()) first: this one reads only what it compares, and may get it
/// from the page cache. It changes nothing, and takes no lock.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be read. What differs, and damage, is in the report.
pub fn verify_deep(vfs: &Arc<dyn Vfs>) -> Result<DeepReport> {
    let mut deep = Deep {
        parts: OpenParts::new(vfs.clone(), Arc::new(Damage::silent(vfs.clone())), None),
        checkpoints: Vec::new(),
        report: DeepReport::default(),
    };
    for id in Inventory::read(&**vfs)?.manifests {
        match deep.open(&**vfs, id) {
            Ok(opened) => deep.checkpoints.push(opened),
            Err(error @ Error::Corrupt { .. }) => deep.report.findings.push(error),
            Err(error) => return Err(error),
        }
    }
    let mut seen = BTreeMap::new();
    for at in 0..deep.checkpoints.len() {
        for (number, part) in deep.checkpoints[at].0.parts.clone().iter().enumerate() {
            if seen.insert(part.seq, *part) != Some(*part) {
                deep.verify(at, number, part)?;
            }
        }
    }
    Ok(deep.report)
}

struct Deep {
    parts: OpenParts,
    /// Newest first.
    checkpoints: Vec<(Manifest, Stack)>,
    report: DeepReport,
}

impl Deep {
    fn open(&self, vfs: &dyn Vfs, id: CheckpointId) -> Result<(Manifest, Stack)> {
        let manifest = read_manifest(vfs, &names::manifest(id), id)?;
        let stack = Stack::open(&self.parts, &manifest)?;
        Ok((manifest, stack))
    }

    /// Verifies a part of a checkpoint.
    fn verify(&mut self, at: usize, number: usize, named: &PartRef) -> Result<()> {
        let (manifest, stack) = &self.checkpoints[at];
        let compared = compare_content(&stack.parts[number], named);
        let is_bottom = number + 1 == manifest.parts.len();
        let origins = self.checkpoints[at + 1..].iter().find_map(|(older, below)| {
            let run = run_of(named, &older.parts)?;
            Some(&below.parts[run])
        });
        let merged = origins.map(|run| Merge { run, is_bottom, stack }.compare(&stack.parts[number]));
        if named.origins != Origins::itself(named.seq) && merged.is_none() {
            self.report.unchecked.push(format!(
                "part {} was not compared with the parts that it was merged from: no checkpoint names them any more",
                named.seq
            ));
        }
        self.report.parts += usize::from(self.report.note(compared)?);
        if let Some(merged) = merged {
            self.report.merges += usize::from(self.report.note(merged)?);
        }
        Ok(())
    }
}

impl DeepReport {
    /// Keeps what is wrong. Returns whether nothing is.
    fn note(&mut self, compared: Result<()>) -> Result<bool> {
        match compared {
            Err(error @ Error::Corrupt { .. }) => self.findings.push(error),
            other => return other.map(|()| true),
        }
        Ok(false)
    }
}

/// The parts among `parts`, the newest first, that were merged into `merged`.
fn run_of(merged: &PartRef, parts: &[PartRef]) -> Option<std::ops::Range<usize>> {
    let newest = parts.iter().position(|part| part.origins.last == merged.origins.last)?;
    let oldest = parts.iter().position(|part| part.origins.first == merged.origins.first)?;
    let is_run = newest <= oldest && parts[newest].seq != merged.seq;
    is_run.then_some(newest..oldest + 1)
}

/// Compares the entries of a part with those that were to be written.
fn compare_content(part: &OpenPart, named: &PartRef) -> Result<()> {
    let mut content = ContentHasher::default();
    for section in part.part().sections() {
        let mut cursor = PartCursor::new(part.part().clone(), *section, Bound::Unbounded, Bound::Unbounded)?;
        while cursor.advance()? {
            content.add(section.id, cursor.key(), (!cursor.is_tombstone()).then(|| cursor.value()));
        }
    }
    if content.digest() == named.content {
        return Ok(());
    }
    let detail = "its entries are not those that were to be written: their digest is another than the manifest states";
    Err(Error::corrupt_whole(part.part().blocks().file(), detail))
}

/// A merge that is done again.
struct Merge<'a> {
    run: &'a [Arc<OpenPart>],
    is_bottom: bool,
    /// The checkpoint that names the merged part.
    stack: &'a Stack,
}

impl Merge<'_> {
    fn compare(&self, merged: &Arc<OpenPart>) -> Result<()> {
        let with_merged: Vec<_> = self.run.iter().chain([merged]).cloned().collect();
        for collection in collections_of(&with_merged) {
            // When a collection was dropped, its entries may have been left out of the merge.
            if self.stack.may_have(collection)? {
                self.compare_collection(collection, merged)?;
            }
        }
        Ok(())
    }

    fn compare_collection(&self, collection: CollectionId, merged: &Arc<OpenPart>) -> Result<()> {
        let mut expected = Merged::new(From::First, cursors(collection, self.run)?);
        let mut found = Merged::new(From::First, cursors(collection, std::slice::from_ref(merged))?);
        loop {
            let is_more = self.step(&mut expected)?;
            let is_found = self.step(&mut found)?;
            let (expected, found) = (expected.current(), found.current());
            if !is_more && !is_found {
                return Ok(());
            }
            if expected.map(entry) != found.map(entry) {
                let key = [expected, found].into_iter().flatten().map(Cursor::key).min().unwrap_or_default();
                return Err(Error::corrupt_whole(
                    merged.part().blocks().file(),
                    format!(
                        "it is not what the parts hold that it was merged from: key \"{}\" of collection {}.{} differs",
                        key.escape_ascii(),
                        collection.lsn,
                        collection.index
                    ),
                ));
            }
        }
    }

    /// Moves to the next entry that the merge had to keep.
    fn step(&self, entries: &mut Merged) -> Result<bool> {
        while entries.step()? {
            let is_tombstone = entries.current().is_some_and(PartCursor::is_tombstone);
            if !(is_tombstone && self.is_bottom) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn cursors(collection: CollectionId, parts: &[Arc<OpenPart>]) -> Result<Vec<WatchedCursor>> {
    let sections = parts.iter().filter_map(|part| Some((part, part.section(collection)?)));
    sections.map(|(part, section)| part.cursor(section, Bound::Unbounded, Bound::Unbounded)).collect()
}

/// What two cursors must agree in.
fn entry(cursor: &PartCursor) -> (&[u8], bool, &[u8]) {
    (cursor.key(), cursor.is_tombstone(), cursor.value())
}
