//! The inventory of a directory of checkpoints, by the names of its files. It also removes the
//! files that are no longer needed.

use std::collections::HashSet;

use kv_core::{CheckpointId, Error, Result};
use kv_vfs::Vfs;

use crate::{
    error::is_damage,
    format::names::{self, Name},
    read::checkpoint::read_manifest,
};

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Newest first.
    pub(crate) manifests: Vec<CheckpointId>,
    set_aside: Vec<CheckpointId>,
    parts: Vec<u64>,
    /// The parts that have the flag of damage.
    pub(crate) flags: Vec<u64>,
    temporaries: Vec<(u64, String)>,
    /// The highest number in any name.
    pub(crate) highest: u64,
}

/// The numbers of the parts that the manifests of a directory name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    listed: HashSet<u64>,
    set_aside: HashSet<u64>,
    /// If a manifest cannot be read, every part up to its number may be one of its parts: a
    /// manifest has a number at least as high as those of its parts.
    unreadable_listed: u64,
    unreadable_set_aside: u64,
}

impl Named {
    /// Every part may be named.
    pub(crate) fn everything() -> Self {
        Self { unreadable_listed: u64::MAX, ..Self::default() }
    }

    /// Whether a listed manifest names this part, or may name it.
    pub(crate) fn is_listed(&self, seq: u64) -> bool {
        self.listed.contains(&seq) || seq <= self.unreadable_listed
    }

    /// Whether any manifest names this part, or may name it; manifests that were set aside count as
    /// well.
    fn is_needed(&self, seq: u64) -> bool {
        self.is_listed(seq) || self.set_aside.contains(&seq) || seq <= self.unreadable_set_aside
    }
}

impl Inventory {
    pub(crate) fn read(vfs: &dyn Vfs) -> Result<Self> {
        let mut inventory = Self::default();
        for name in vfs.list()? {
            let Some(parsed) = Name::parse(&name) else { continue };
            inventory.highest = inventory.highest.max(parsed.seq());
            match parsed {
                Name::Manifest(id) => inventory.manifests.push(id),
                Name::SetAside(id) => inventory.set_aside.push(id),
                Name::Part(seq) => inventory.parts.push(seq),
                Name::Damaged(seq) => inventory.flags.push(seq),
                Name::Temporary(seq) => inventory.temporaries.push((seq, name)),
            }
        }
        inventory.manifests.sort_unstable_by(|a, b| b.cmp(a));
        inventory.parts.sort_unstable();
        inventory.flags.sort_unstable();
        inventory.temporaries.sort_unstable();
        Ok(inventory)
    }

    /// Reads all manifests.
    pub(crate) fn named(&self, vfs: &dyn Vfs) -> Result<Named> {
        let mut named = Named::default();
        for id in &self.manifests {
            add_parts(vfs, &names::manifest(*id), *id, &mut named.listed, &mut named.unreadable_listed)?;
        }
        for id in &self.set_aside {
            add_parts(vfs, &names::set_aside(*id), *id, &mut named.set_aside, &mut named.unreadable_set_aside)?;
        }
        Ok(named)
    }

    /// Removes the temporary files that interrupted writes left, but those of numbers `in_work`.
    pub(crate) fn remove_temporaries(&self, vfs: &dyn Vfs, in_work: &dyn Fn(u64) -> bool) -> Result<()> {
        let mut left = self.temporaries.iter().filter(|(seq, _)| !in_work(*seq));
        left.try_for_each(|(_, name)| vfs.remove(name)).map_err(Error::from)
    }

    /// Removes the parts that no manifest names, but those of numbers `in_work`: such a part exists
    /// before the manifest that names it.
    ///
    /// Nothing is synced: a part that a power cut brings back is removed the next time.
    pub(crate) fn remove_unnamed_parts(
        &self,
        vfs: &dyn Vfs,
        named: &Named,
        in_work: &dyn Fn(u64) -> bool,
        removed: &dyn Fn(u64),
    ) -> Result<()> {
        for seq in self.parts.iter().filter(|seq| !named.is_needed(**seq) && !in_work(**seq)) {
            vfs.remove(&names::part(*seq))?;
            removed(*seq);
        }
        Ok(())
    }
}

/// Adds the parts that a manifest names. If it is damaged, more is kept than is needed.
///
/// One that the disk does not give counts as damaged: it must not keep checkpoints from being made
/// and the log from being trimmed for ever.
fn add_parts(
    vfs: &dyn Vfs,
    name: &str,
    id: CheckpointId,
    parts: &mut HashSet<u64>,
    unreadable: &mut u64,
) -> Result<()> {
    match read_manifest(vfs, name, id) {
        Ok(manifest) => parts.extend(manifest.parts.iter().map(|part| part.seq)),
        Err(error) if is_damage(&error) || matches!(error, Error::OlderVersion { .. } | Error::NewerVersion { .. }) => {
            *unreadable = (*unreadable).max(id.seq);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
