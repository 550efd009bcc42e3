//! Verifies all checkpoints that are listed in a directory.

pub(crate) mod blocks;
mod deep;
pub(crate) mod entries;

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use blocks::verify_file;
pub use deep::{DeepReport, verify_deep};
use entries::verify_entries;
use kv_core::{CheckpointId, CollectionId, Cursor, Error, NAME_BYTES_MAX, Result};
use kv_vfs::Vfs;

use crate::{
    format::{manifest::PartRef, names},
    inventory::Inventory,
    read::{cache::BlockCache, checkpoint::read_manifest, cursor::PartCursor, open_part::open_part, part::Part},
};

/// What [`verify`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The number of checkpoints that are listed.
    pub checkpoints: usize,
    /// The number of parts that were verified and are intact.
    pub parts: usize,
    /// The bytes of those parts.
    pub bytes: u64,
    /// What is wrong: damage, files that cannot be read, files that another version wrote.
    pub findings: Vec<Error>,
    /// Whether a part has the flag of damage: a read met damage in it before. The flag is removed
    /// when the part is found to be intact, or when its checkpoint is set aside.
    pub damage_noted: bool,
}

impl VerifyReport {
    /// Whether everything was read and nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads and verifies every listed checkpoint in a directory, from the disk: its manifest, every
/// block of its parts, and whether entries, order and index agree.
///
/// It changes nothing and takes no lock. A checkpoint that is removed meanwhile is left out. The
/// kernel is asked to drop what it has cached of a part, but may keep pages that are in use through
/// a map.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be read. Damage is not an error: it is in the report.
pub fn verify(vfs: &dyn Vfs) -> Result<VerifyReport> {
    verify_through(vfs, None)
}

/// Like [`verify`]. With a cache, files are read through that, and never mapped.
pub(crate) fn verify_through(vfs: &dyn Vfs, cache: Option<&Arc<BlockCache>>) -> Result<VerifyReport> {
    let inventory = Inventory::read(vfs)?;
    let mut report = VerifyReport { damage_noted: !inventory.flags.is_empty(), ..VerifyReport::default() };
    let mut parts = BTreeMap::new();
    for id in inventory.manifests {
        if let Err(error) = verify_checkpoint(vfs, id, cache, &mut parts) {
            if !Inventory::read(vfs)?.manifests.contains(&id) {
                continue;
            }
            report.findings.push(error);
        }
        report.checkpoints += 1;
    }
    report.parts = parts.len();
    report.bytes = parts.values().map(|part: &PartRef| part.summary.bytes).sum();
    Ok(report)
}

fn verify_checkpoint(
    vfs: &dyn Vfs,
    id: CheckpointId,
    cache: Option<&Arc<BlockCache>>,
    verified: &mut BTreeMap<u64, PartRef>,
) -> Result<()> {
    let name = names::manifest(id);
    let manifest = read_manifest(vfs, &name, id)?;
    if manifest.parts.last().is_some_and(|bottom| bottom.tombstones > 0) {
        let detail = "the part at the bottom has tombstones, which hide nothing";
        return Err(Error::corrupt_whole(vfs.path().join(name), detail));
    }
    for part in &manifest.parts {
        if verified.get(&part.seq) != Some(part) {
            verify_part(vfs, part, cache)?;
            verified.insert(part.seq, *part);
        }
    }
    Ok(())
}

fn verify_part(vfs: &dyn Vfs, named: &PartRef, cache: Option<&Arc<BlockCache>>) -> Result<()> {
    // First open it as a reader does: if it is another file altogether, this gives the clearest
    // error.
    let part = Arc::new(open_part(vfs, named, cache, Arc::default())?);
    verify_file(vfs, named, || Ok(()))?;
    verify_entries(&part)?;
    verify_names(&part)
}

/// Verifies that the entries of the collection of names are names of collections.
fn verify_names(part: &Arc<Part>) -> Result<()> {
    let Some(section) = part.section(CollectionId::NAMES) else { return Ok(()) };
    let mut cursor = PartCursor::new(part.clone(), *section, Bound::Unbounded, Bound::Unbounded)?;
    while cursor.advance()? {
        let name = cursor.value();
        let is_name = CollectionId::from_key(cursor.key()).is_some()
            && (cursor.is_tombstone() || (name.len() <= NAME_BYTES_MAX && std::str::from_utf8(name).is_ok()));
        if !is_name {
            let detail = "an entry of the collection of names is not the name of a collection";
            return Err(Error::corrupt(part.blocks().file(), section.entries_offset, detail));
        }
    }
    Ok(())
}
