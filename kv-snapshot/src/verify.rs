//! Verifies all checkpoints that are listed in a directory.

pub(crate) mod blocks;
pub(crate) mod entries;

use std::collections::BTreeMap;

use blocks::verify_blocks;
use entries::verify_entries;
use kv_core::{CheckpointId, Error, Result};
use kv_vfs::{Access, Vfs};

use crate::{
    damage_flag,
    format::{
        manifest::{Manifest, PartRef},
        names,
    },
    inventory::Inventory,
    read::checkpoint::{check_collections, open_part, read_manifest},
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
    /// Whether the damage flag is set: a read met damage before, and nothing is written or removed
    /// until [`MmapCheckpointer::verify`](crate::MmapCheckpointer::verify) has found nothing wrong.
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
    let mut report = VerifyReport { damage_noted: damage_flag::is_set(vfs)?, ..VerifyReport::default() };
    let mut parts = BTreeMap::new();
    for id in Inventory::read(vfs)?.manifests {
        if let Err(error) = verify_checkpoint(vfs, id, &mut parts) {
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

pub(crate) fn verify_checkpoint(vfs: &dyn Vfs, id: CheckpointId, verified: &mut BTreeMap<u64, PartRef>) -> Result<()> {
    let manifest = read_manifest(vfs, &names::manifest(id), id)?;
    for part in &manifest.parts {
        if verified.get(&part.seq) != Some(part) {
            verify_part(vfs, &manifest, part)?;
            verified.insert(part.seq, *part);
        }
    }
    Ok(())
}

fn verify_part(vfs: &dyn Vfs, manifest: &Manifest, named: &PartRef) -> Result<()> {
    // First open it as a reader does: if it is another file altogether, this gives the clearest
    // error.
    let part = open_part(vfs, named)?;
    check_collections(&part, manifest)?;
    let file = vfs.open(&names::part(named.seq), Access::Read)?;
    file.drop_cache()?;
    verify_blocks(&*file, &named.summary, || Ok(()))?;
    verify_entries(&part)
}
