//! What is in a directory of checkpoints, judged by names, and what of it nobody needs.

use std::collections::HashSet;

use kv_core::{CheckpointId, Error, Result};
use kv_vfs::Vfs;

use crate::{checkpoint::read_manifest, fault::from_vfs, names, names::Name};

#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Newest first.
    pub(crate) manifests: Vec<CheckpointId>,
    set_aside: Vec<CheckpointId>,
    parts: Vec<u64>,
    temporaries: Vec<String>,
}

impl Listing {
    pub(crate) fn read(vfs: &dyn Vfs) -> Result<Self> {
        let mut listing = Self::default();
        for name in vfs.list().map_err(from_vfs)? {
            match Name::parse(&name) {
                Some(Name::Manifest(id)) => listing.manifests.push(id),
                Some(Name::SetAside(id)) => listing.set_aside.push(id),
                Some(Name::Part(seq)) => listing.parts.push(seq),
                Some(Name::Temporary) => listing.temporaries.push(name),
                None => {}
            }
        }
        listing.manifests.sort_unstable_by(|a, b| b.cmp(a));
        listing.parts.sort_unstable();
        listing.temporaries.sort_unstable();
        Ok(listing)
    }

    /// A sequence number above all that are, and were, here.
    pub(crate) fn next_seq(&self) -> Result<u64> {
        let ids = self.manifests.iter().chain(&self.set_aside).map(|id| id.seq);
        let highest = ids.chain(self.parts.iter().copied()).max().unwrap_or(0);
        highest.checked_add(1).ok_or(Error::Misuse("there is no sequence number left for another checkpoint".into()))
    }

    /// Removes what an interrupted write left.
    pub(crate) fn remove_temporaries(&self, vfs: &dyn Vfs) -> Result<()> {
        self.temporaries.iter().try_for_each(|name| vfs.remove(name)).map_err(from_vfs)
    }

    /// Removes the parts that no manifest names, set-aside ones included. Where a manifest cannot be read, every part that is not newer may be
    /// one of its parts, and is kept. `writing` is the number of a checkpoint under way, whose part is not named yet.
    ///
    /// Nothing is synced: a part that comes back after a power cut is removed another time.
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
        unneeded.try_for_each(|seq| vfs.remove(&names::part(*seq))).map_err(from_vfs)
    }
}
