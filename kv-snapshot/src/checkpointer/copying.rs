//! Copying a checkpoint to another directory, which may share files with this one.

use std::sync::Arc;

use kv_core::{CheckpointId, LogId, Result};
use kv_vfs::{File, Vfs};

use super::{MmapCheckpointer, directory::publish_manifest, lock, numbers::Protected};
use crate::{
    format::{
        manifest::{Manifest, PartRef},
        names,
    },
    inventory::Inventory,
    read::{
        cache::BlockCache,
        checkpoint::read_manifest,
        file::{self, read_exact},
        open_part::open_part,
    },
    verify::blocks::{verify_blocks, verify_file},
    write::new_file::NewFile,
};

/// How many bytes are copied at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Which files a copy may share.
#[derive(Clone, Debug)]
pub enum Sharing {
    /// None: every part is copied.
    Nothing,
    /// Parts are hard links where the file system can link them, to the files of an earlier copy if
    /// one is given and has them, and otherwise to those of the original.
    Links {
        /// The directory of an earlier copy.
        earlier: Option<Arc<dyn Vfs>>,
    },
}

/// A checkpoint that was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopiedCheckpoint {
    /// Its identity, which is that of the original.
    pub id: CheckpointId,
    /// The bytes of the parts that are shared with another directory.
    pub linked_bytes: u64,
    /// The bytes of the parts that were copied.
    pub copied_bytes: u64,
}

impl CopiedCheckpoint {
    /// A checkpoint in a directory, all of which was copied.
    ///
    /// # Errors
    /// [`Corrupt`](kv_core::Error::Corrupt), [`Io`](kv_core::Error::Io) if its manifest cannot be
    /// read.
    pub fn whole(directory: &dyn Vfs, id: CheckpointId) -> Result<Self> {
        let manifest = read_manifest(directory, &names::manifest(id), id)?;
        let copied_bytes = manifest.parts.iter().map(|part| part.summary.bytes).sum();
        Ok(Self { id, linked_bytes: 0, copied_bytes })
    }
}

impl MmapCheckpointer {
    /// Copies the newest checkpoint that was opened or made here to another directory, as a
    /// checkpoint of the log `log_id`. `None` if there is none. The directory must hold no
    /// checkpoints.
    ///
    /// Writes and merges go on meanwhile: what is copied is not removed before the copy is done.
    /// Each part is read from the disk and verified, unless it is shared with the earlier copy, for
    /// which this was done then. On return the copy survives a power cut.
    ///
    /// # Errors
    /// [`Corrupt`](kv_core::Error::Corrupt) if a part is damaged; [`Io`](kv_core::Error::Io),
    /// [`DiskFull`](kv_core::Error::DiskFull), [`Forked`](kv_core::Error::Forked). The directory
    /// may then hold parts, and holds no checkpoint unless its last sync has failed.
    pub fn copy_newest(&self, to: &Arc<dyn Vfs>, log_id: LogId, sharing: &Sharing) -> Result<Option<CopiedCheckpoint>> {
        let Some((manifest, _protected)) = self.protect_newest()? else { return Ok(None) };
        let copier = Copier { from: &self.vfs, to, sharing, earlier: earlier_parts(sharing) };
        let mut copied = CopiedCheckpoint { id: manifest.id, linked_bytes: 0, copied_bytes: 0 };
        for part in &manifest.parts {
            match copier.place(part)? {
                Placed::Linked => copied.linked_bytes += part.summary.bytes,
                Placed::Copied => copied.copied_bytes += part.summary.bytes,
            }
        }
        to.sync_directory()?; // a manifest must find its parts
        publish_manifest(to, &Manifest { log_id, previous: None, ..Manifest::clone(&manifest) })?;
        Ok(Some(copied))
    }

    /// The manifest in force. Its parts are not removed while the second value lives.
    fn protect_newest(&self) -> Result<Option<(Arc<Manifest>, Protected<'_>)>> {
        self.check_owner()?;
        let directory = lock(&self.directory);
        let Some(in_force) = &directory.in_force else { return Ok(None) };
        let protected = self.numbers.protect(in_force.manifest.parts.iter().map(|part| part.seq));
        Ok(Some((in_force.manifest.clone(), protected)))
    }
}

/// The parts that an earlier copy has. One that cannot be read has none.
fn earlier_parts(sharing: &Sharing) -> Vec<PartRef> {
    let Sharing::Links { earlier: Some(earlier) } = sharing else { return Vec::new() };
    let newest = || {
        let id = *Inventory::read(&**earlier).ok()?.manifests.first()?;
        read_manifest(&**earlier, &names::manifest(id), id).ok()
    };
    newest().map_or_else(Vec::new, |manifest| manifest.parts)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    Linked,
    Copied,
}

struct Copier<'a> {
    from: &'a Arc<dyn Vfs>,
    to: &'a Arc<dyn Vfs>,
    sharing: &'a Sharing,
    earlier: Vec<PartRef>,
}

impl Copier<'_> {
    fn place(&self, part: &PartRef) -> Result<Placed> {
        let Sharing::Links { earlier } = self.sharing else { return self.copy(part) };
        if let Some(earlier) = earlier
            && self.earlier.contains(part)
            && self.link(&**earlier, part)
        {
            if self.is_there(part) {
                return Ok(Placed::Linked);
            }
            self.to.remove(&names::part(part.seq))?; // damaged since
        }
        if self.link(&**self.from, part) {
            verify_file(&**self.to, part, || Ok(()))?;
            return Ok(Placed::Linked);
        }
        self.copy(part)
    }

    /// Whether the part could be linked. If not, whatever the reason, it can be copied.
    fn link(&self, from: &dyn Vfs, part: &PartRef) -> bool {
        let name = names::part(part.seq);
        from.link(&name, &**self.to, &name).is_ok()
    }

    /// Whether the file that was linked has the header, the footer and the directory of the part.
    fn is_there(&self, part: &PartRef) -> bool {
        let cache = Arc::new(BlockCache::new(0)); // so that nothing is mapped
        open_part(&**self.to, part, Some(&cache), Arc::default()).is_ok()
    }

    fn copy(&self, part: &PartRef) -> Result<Placed> {
        let from = file::open(&**self.from, &names::part(part.seq))?;
        let new = NewFile::create(self.to, &names::part(part.seq))?;
        copy_bytes(&*from, &**new.file(), part.summary.bytes)?;
        new.commit(|file| verify_blocks(file, &part.summary, || Ok(())))?;
        Ok(Placed::Copied)
    }
}

fn copy_bytes(from: &dyn File, to: &dyn File, length: u64) -> Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES.min(length) as usize];
    let mut at = 0;
    while at < length {
        let bytes = &mut chunk[..CHUNK_BYTES.min(length - at) as usize];
        read_exact(from, bytes, at)?;
        to.write_all_at(bytes, at)?;
        at += bytes.len() as u64;
    }
    Ok(())
}
