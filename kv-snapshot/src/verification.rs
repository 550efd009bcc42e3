use std::collections::BTreeMap;

use kv_core::{CheckpointId, Error, Result};
use kv_vfs::{Access, Vfs};

use crate::{
    audit::audit_blocks,
    audit_entries::audit_entries,
    checkpoint::{check_collections, open_part, read_manifest},
    fault::from_vfs,
    listing::Listing,
    manifest::{Manifest, PartRef},
    marker, names,
};

/// What a full verification found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verification {
    /// How many checkpoints are listed.
    pub checkpoints: usize,
    /// How many parts were read.
    pub parts: usize,
    /// How many bytes of parts were read.
    pub bytes: u64,
    /// What is wrong: damage, files that cannot be read, files written by a newer version.
    pub findings: Vec<Error>,
    /// Whether damage was met before, and noted: nothing is written or removed until
    /// [`MmapCheckpointer::verify`](crate::MmapCheckpointer::verify) has found everything sound.
    pub damage_noted: bool,
}

impl Verification {
    /// Whether everything was read and nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads and verifies everything that is listed in a directory of checkpoints, from the disk: every
/// manifest, every block of every part, and whether entries, order and index agree. A checkpoint
/// that is removed meanwhile is passed over. Changes nothing and takes no lock.
///
/// # Errors
/// Damage is not an error but in the report. [`Error::Io`] if the directory cannot be read.
pub fn verify(vfs: &dyn Vfs) -> Result<Verification> {
    let mut verification = Verification { damage_noted: marker::is_there(vfs)?, ..Verification::default() };
    let mut parts = BTreeMap::new();
    for id in Listing::read(vfs)?.manifests {
        if let Err(error) = verify_checkpoint(vfs, id, &mut parts) {
            if !Listing::read(vfs)?.manifests.contains(&id) {
                continue;
            }
            verification.findings.push(error);
        }
        verification.checkpoints += 1;
    }
    verification.parts = parts.len();
    verification.bytes = parts.values().map(|part: &PartRef| part.summary.bytes).sum();
    Ok(verification)
}

fn verify_checkpoint(vfs: &dyn Vfs, id: CheckpointId, verified: &mut BTreeMap<u64, PartRef>) -> Result<()> {
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
    // Opened as readers do it first: that tells best what is wrong with a file that is not even the right one.
    let part = open_part(vfs, named)?;
    check_collections(&part, manifest)?;
    let file = vfs.open(&names::part(named.seq), Access::Read).map_err(from_vfs)?;
    file.drop_cache().map_err(from_vfs)?;
    audit_blocks(&*file, &named.summary, || Ok(()))?;
    audit_entries(&part)
}
