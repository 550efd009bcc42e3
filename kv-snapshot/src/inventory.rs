//! What is in a directory of checkpoints, going by the names of the files, and which of it is not
//! needed any more.

use std::collections::HashSet;

use kv_core::{CheckpointId, Error, Result};
use kv_vfs::Vfs;

use crate::{
    format::names::{self, Name},
    read::checkpoint::read_manifest,
};

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Newest first.
    pub(crate) manifests: Vec<CheckpointId>,
    set_aside: Vec<CheckpointId>,
    parts: Vec<u64>,
    temporaries: Vec<String>,
}

impl Inventory {
    pub(crate) fn read(vfs: &dyn Vfs) -> Result<Self> {
        let mut inventory = Self::default();
        for name in vfs.list()? {
            match Name::parse(&name) {
                Some(Name::Manifest(id)) => inventory.manifests.push(id),
                Some(Name::SetAside(id)) => inventory.set_aside.push(id),
                Some(Name::Part(seq)) => inventory.parts.push(seq),
                Some(Name::Temporary) => inventory.temporaries.push(name),
                None => {}
            }
        }
        inventory.manifests.sort_unstable_by(|a, b| b.cmp(a));
        inventory.parts.sort_unstable();
        inventory.temporaries.sort_unstable();
        Ok(inventory)
    }

    /// A sequence number above every one that is in use here, or was.
    pub(crate) fn next_seq(&self) -> Result<u64> {
        let ids = self.manifests.iter().chain(&self.set_aside).map(|id| id.seq);
        let highest = ids.chain(self.parts.iter().copied()).max().unwrap_or(0);
        highest.checked_add(1).ok_or(Error::Misuse("no sequence number is left for another checkpoint".into()))
    }

    /// Removes what an interrupted write left.
    pub(crate) fn remove_temporaries(&self, vfs: &dyn Vfs) -> Result<()> {
        self.temporaries.iter().try_for_each(|name| vfs.remove(name)).map_err(Error::from)
    }

    /// Removes the parts that no manifest names; manifests that were set aside count as well.
    ///
    /// If a manifest cannot be read, every part up to its number may be one of its parts and is
    /// kept. `writing` is the number of a checkpoint that is being written: its part exists before
    /// the manifest that names it.
    ///
    /// Nothing is synced: a part that a power cut brings back is removed the next time.
    pub(crate) fn remove_unnamed_parts(&self, vfs: &dyn Vfs, writing: Option<u64>) -> Result<()> {
        let mut named = HashSet::new();
        let mut unreadable = 0;
        let listed = self.manifests.iter().map(|id| (*id, names::manifest(*id)));
        for (id, name) in listed.chain(self.set_aside.iter().map(|id| (*id, names::set_aside(*id)))) {
            match read_manifest(vfs, &name, id) {
                Ok(manifest) => named.extend(manifest.parts.iter().map(|part| part.seq)),
                Err(Error::Corrupt { .. } | Error::OlderVersion { .. } | Error::NewerVersion { .. }) => {
                    unreadable = unreadable.max(id.seq);
                }
                Err(error) => return Err(error),
            }
        }
        let is_needed =
            |seq: u64| named.contains(&seq) || seq <= unreadable || writing.is_some_and(|first| seq >= first);
        let mut unneeded = self.parts.iter().filter(|seq| !is_needed(**seq));
        unneeded.try_for_each(|seq| vfs.remove(&names::part(*seq))).map_err(Error::from)
    }
}
