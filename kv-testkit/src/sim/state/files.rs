//! Files: which of their content is durable, which is pending, and what readers see.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    sync::Arc,
};

use super::{
    super::{
        content::{Content, FILE_BYTES_MAX, PAGE_BYTES},
        sector::{self, SECTOR_BYTES},
    },
    NodeId, Result, Seq, State,
};

#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct FileNode {
    pub durable: Content,
    pub pending: Vec<FileChange>,
    pub seen: Content,
    pub created: Seq,
    /// The minimum length after a power cut on ext4. There, a file that replaces another keeps its
    /// length even if its bytes are lost.
    pub length_kept: u64,
    /// Readers see data that was not written and never will be, because a sync failed.
    pub is_forgetful: bool,
    /// What sectors held before their last change.
    pub older: Arc<BTreeMap<u64, Vec<u8>>>,
}

impl FileNode {
    /// Whether a power cut cannot change it.
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty() && !self.is_forgetful && self.length_kept == 0
    }

    /// The bytes of a sector; fewer where the file ends.
    pub fn sector(&self, sector: u64) -> Vec<u8> {
        let mut bytes = vec![0; SECTOR_BYTES as usize];
        let len = self.seen.read(&mut bytes, sector * SECTOR_BYTES);
        bytes.truncate(len);
        bytes
    }

    /// Saves the sectors that a write is about to change.
    fn keep_older(&mut self, offset: u64, bytes: &[u8]) {
        if offset >= self.seen.len() {
            return; // there is nothing before the change
        }
        for (_, range) in sector::split(offset, bytes.len()) {
            let at = offset + range.start as u64;
            let (sector, from) = (at / SECTOR_BYTES, (at % SECTOR_BYTES) as usize);
            let before = self.sector(sector);
            let overwritten = before.get(from..before.len().min(from + range.len())).unwrap_or_default();
            if !bytes[range].starts_with(overwritten) {
                Arc::make_mut(&mut self.older).insert(sector, before);
            }
        }
    }
}

/// A change of a file that was not synced.
#[derive(Clone, Debug)]
pub(in crate::sim) struct FileChange {
    pub seq: Seq,
    pub kind: FileChangeKind,
}

#[derive(Clone, Debug)]
pub(in crate::sim) enum FileChangeKind {
    Write {
        offset: u64,
        bytes: Arc<[u8]>,
        /// The write made the file longer.
        extends: bool,
    },
    SetLen(u64),
}

impl State {
    /// Writes as much as there is space for, and returns how many bytes that is. Fails with
    /// [`ErrorKind::StorageFull`] if there is space for none.
    pub fn write(&mut self, node: NodeId, offset: u64, bytes: &[u8]) -> Result<usize> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        if end > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge);
        }
        let taken = self.fitting(self.file(node)?, offset, bytes.len());
        if taken == 0 {
            return Err(ErrorKind::StorageFull);
        }
        let bytes = &bytes[..taken];
        let seq = self.take_seq();
        let file = self.file_mut(node)?;
        file.keep_older(offset, bytes);
        let extends = offset + taken as u64 > file.seen.len();
        file.seen.write(bytes, offset);
        file.pending.push(FileChange { seq, kind: FileChangeKind::Write { offset, bytes: bytes.into(), extends } });
        Ok(taken)
    }

    /// How many of `len` bytes there is space for.
    fn fitting(&self, file: &FileNode, offset: u64, len: usize) -> usize {
        let takes_space = || self.copies_on_write || file.seen.pages_of(offset, len).any(|(is_hole, _)| is_hole);
        if self.space_bytes_max == u64::MAX || !takes_space() {
            return len;
        }
        let mut free = self.space_bytes_max.saturating_sub(self.space_bytes()) / PAGE_BYTES as u64;
        let mut taken = 0;
        for (is_hole, len) in file.seen.pages_of(offset, len) {
            let needs_space = is_hole || self.copies_on_write;
            if needs_space && free == 0 {
                break;
            }
            free -= u64::from(needs_space);
            taken += len;
        }
        taken
    }

    /// Gives the file the length that a write would have given it, and changes nothing else.
    pub fn enlarge(&mut self, node: NodeId, len: u64) -> Result<()> {
        if len > self.file(node)?.seen.len() { self.set_len(node, len) } else { Ok(()) }
    }

    pub fn set_len(&mut self, node: NodeId, len: u64) -> Result<()> {
        if len > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge);
        }
        let change = FileChange { seq: self.take_seq(), kind: FileChangeKind::SetLen(len) };
        let file = self.file_mut(node)?;
        file.seen.set_len(len);
        file.length_kept = file.length_kept.min(len);
        file.pending.push(change);
        Ok(())
    }

    /// Makes the pending changes of the file durable.
    pub fn sync_file(&mut self, node: NodeId) -> Result<()> {
        let file = self.file(node)?;
        let is_metadata = |change: &FileChange| match change.kind {
            FileChangeKind::Write { extends, .. } => extends,
            FileChangeKind::SetLen(_) => true,
        };
        let commits = file.created >= self.committed || file.pending.iter().any(is_metadata);
        let is_clean = file.pending.is_empty() && file.length_kept == 0;
        if commits {
            self.committed = self.next_seq;
        }
        if is_clean {
            return Ok(());
        }
        let file = self.file_mut(node)?;
        for change in std::mem::take(&mut file.pending) {
            match change.kind {
                FileChangeKind::Write { offset, bytes, .. } => file.durable.write(&bytes, offset),
                FileChangeKind::SetLen(len) => file.durable.set_len(len),
            }
        }
        file.length_kept = 0;
        Ok(())
    }

    /// Drops the pending changes: they will never reach the disk, though readers still see them.
    pub fn forget_pending(&mut self, node: NodeId) -> Result<()> {
        let file = self.file_mut(node)?;
        file.pending.clear();
        file.is_forgetful = true;
        Ok(())
    }

    /// Drops cached data: readers see what is durable and what is still pending.
    pub fn drop_cache(&mut self, node: NodeId) -> Result<()> {
        if !self.file(node)?.is_forgetful {
            return Ok(());
        }
        let file = self.file_mut(node)?;
        file.seen = file.durable.clone();
        for change in &file.pending {
            match &change.kind {
                FileChangeKind::Write { offset, bytes, .. } => file.seen.write(bytes, *offset),
                FileChangeKind::SetLen(len) => file.seen.set_len(*len),
            }
        }
        file.is_forgetful = false;
        Ok(())
    }

    /// The bytes of all files that have a name or a handle.
    pub fn space_bytes(&self) -> u64 {
        let named: BTreeSet<_> = self.directories.values().flat_map(|directory| directory.seen.values()).collect();
        let counts = |(node, _): &(&NodeId, &Arc<FileNode>)| self.handles.contains_key(node) || named.contains(node);
        self.files.iter().filter(counts).map(|(_, file)| file.seen.space_bytes()).sum()
    }
}
