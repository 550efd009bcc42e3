//! What is on a simulated disk: for each file and directory what is durable, what is pending, and what readers see.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    sync::Arc,
};

use super::content::{Content, FILE_BYTES_MAX};

pub(super) type NodeId = u64;
/// The order in which changes were made, over the whole disk.
pub(super) type Seq = u64;
pub(super) type Names = BTreeMap<String, NodeId>;

pub(super) const ROOT: NodeId = 0;

#[derive(Clone, Debug)]
pub(super) struct State {
    pub files: BTreeMap<NodeId, Arc<FileNode>>,
    pub directories: BTreeMap<NodeId, Arc<DirectoryNode>>,
    /// A journaling file system has committed the changes of names and lengths before this one.
    pub committed: Seq,
    pub next_seq: Seq,
    next_node: NodeId,
    /// How many handles there are of each file that has some.
    pub handles: BTreeMap<NodeId, u32>,
    /// How many bytes files may take.
    pub space_bytes_max: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub durable: Content,
    pub pending: Vec<Change>,
    pub seen: Content,
    pub created: Seq,
    /// ext4 gives a file that replaces another its length though its bytes are not there: at least this.
    pub length_kept: u64,
    /// Readers see what was not written and never will be: a sync has failed.
    pub is_forgetful: bool,
}

impl FileNode {
    /// Whether a power cut changes nothing of it.
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty() && !self.is_forgetful && self.length_kept == 0
    }
}

/// A change of a file that was not synced.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub seq: Seq,
    pub kind: ChangeKind,
}

#[derive(Clone, Debug)]
pub(super) enum ChangeKind {
    Write {
        offset: u64,
        bytes: Arc<[u8]>,
        /// The file became longer by it.
        extends: bool,
    },
    SetLen(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct DirectoryNode {
    pub durable: Names,
    pub pending: Vec<NameChange>,
    pub seen: Names,
}

/// A change of names that was not synced.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub seq: Seq,
    pub node: NodeId,
    pub kind: NameChangeKind,
}

#[derive(Clone, Debug)]
pub(super) enum NameChangeKind {
    Link(String),
    Rename {
        from: String,
        to: String,
        /// The length of the file, if it replaced another one.
        replacing_len: Option<u64>,
    },
    Unlink(String),
}

impl NameChange {
    /// Carries it out, as far as the names are those that it was made for.
    pub fn apply(&self, names: &mut Names) {
        match &self.kind {
            NameChangeKind::Link(name) => {
                names.insert(name.clone(), self.node);
            }
            NameChangeKind::Rename { from, to, .. } => {
                self.unlink(names, from);
                names.insert(to.clone(), self.node);
            }
            NameChangeKind::Unlink(name) => self.unlink(names, name),
        }
    }

    fn unlink(&self, names: &mut Names, name: &str) {
        if names.get(name) == Some(&self.node) {
            names.remove(name);
        }
    }
}

type Result<T, E = ErrorKind> = std::result::Result<T, E>;

impl State {
    pub fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            directories: BTreeMap::from([(ROOT, Arc::default())]),
            committed: 0,
            next_seq: 0,
            next_node: ROOT + 1,
            handles: BTreeMap::new(),
            space_bytes_max: u64::MAX,
        }
    }

    pub fn file(&self, node: NodeId) -> Result<&FileNode> {
        self.files.get(&node).map(Arc::as_ref).ok_or(ErrorKind::NotFound)
    }

    pub fn file_mut(&mut self, node: NodeId) -> Result<&mut FileNode> {
        self.files.get_mut(&node).map(Arc::make_mut).ok_or(ErrorKind::NotFound)
    }

    pub fn directory(&self, node: NodeId) -> Result<&DirectoryNode> {
        self.directories.get(&node).map(Arc::as_ref).ok_or(ErrorKind::NotFound)
    }

    fn directory_mut(&mut self, node: NodeId) -> Result<&mut DirectoryNode> {
        self.directories.get_mut(&node).map(Arc::make_mut).ok_or(ErrorKind::NotFound)
    }

    /// The node of that name.
    pub fn look_up(&self, directory: NodeId, name: &str) -> Result<NodeId> {
        self.directory(directory)?.seen.get(name).copied().ok_or(ErrorKind::NotFound)
    }

    /// The file of that name.
    pub fn find_file(&self, directory: NodeId, name: &str) -> Result<NodeId> {
        let node = self.look_up(directory, name)?;
        if self.files.contains_key(&node) { Ok(node) } else { Err(ErrorKind::InvalidInput) }
    }

    /// Counts a handle.
    pub fn open(&mut self, node: NodeId) -> Result<NodeId> {
        self.file(node)?;
        *self.handles.entry(node).or_default() += 1;
        Ok(node)
    }

    /// Ends a handle. What was removed meanwhile is freed with the last one.
    pub fn close(&mut self, node: NodeId) {
        if let Some(handles) = self.handles.get_mut(&node) {
            *handles -= 1;
            if *handles == 0 {
                self.handles.remove(&node);
            }
        }
    }

    pub fn create_file(&mut self, directory: NodeId, name: &str) -> Result<NodeId> {
        let node = self.new_name(directory, name)?;
        self.files.insert(node, Arc::new(FileNode { created: self.next_seq - 1, ..FileNode::default() }));
        Ok(node)
    }

    pub fn create_directory(&mut self, directory: NodeId, name: &str) -> Result<NodeId> {
        let node = self.new_name(directory, name)?;
        self.directories.insert(node, Arc::default());
        Ok(node)
    }

    fn new_name(&mut self, directory: NodeId, name: &str) -> Result<NodeId> {
        if self.directory(directory)?.seen.contains_key(name) {
            return Err(ErrorKind::AlreadyExists);
        }
        let node = self.next_node;
        self.next_node += 1;
        self.change_names(directory, node, NameChangeKind::Link(name.to_owned()))?;
        Ok(node)
    }

    pub fn rename(&mut self, directory: NodeId, from: &str, to: &str) -> Result<()> {
        let node = self.find_file(directory, from)?;
        let replaced = self.directory(directory)?.seen.get(to).copied();
        if replaced.is_some_and(|replaced| self.directories.contains_key(&replaced)) {
            return Err(ErrorKind::IsADirectory);
        }
        if replaced == Some(node) {
            return Ok(());
        }
        let replacing_len = if replaced.is_some() { Some(self.file(node)?.seen.len()) } else { None };
        let kind = NameChangeKind::Rename { from: from.to_owned(), to: to.to_owned(), replacing_len };
        self.change_names(directory, node, kind)
    }

    pub fn remove(&mut self, directory: NodeId, name: &str) -> Result<()> {
        let node = self.find_file(directory, name)?;
        self.change_names(directory, node, NameChangeKind::Unlink(name.to_owned()))
    }

    fn change_names(&mut self, directory: NodeId, node: NodeId, kind: NameChangeKind) -> Result<()> {
        let change = NameChange { seq: self.take_seq(), node, kind };
        let directory = self.directory_mut(directory)?;
        change.apply(&mut directory.seen);
        directory.pending.push(change);
        Ok(())
    }

    fn take_seq(&mut self) -> Seq {
        self.next_seq += 1;
        self.next_seq - 1
    }

    pub fn write(&mut self, node: NodeId, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        if end > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge);
        }
        let file = self.file(node)?;
        let mut seen = file.seen.clone();
        seen.write(bytes, offset);
        let more = seen.space_bytes() - file.seen.space_bytes();
        if more != 0 && self.space_bytes_max != u64::MAX && self.space_bytes() + more > self.space_bytes_max {
            return Err(ErrorKind::StorageFull);
        }
        let extends = end > file.seen.len();
        let change = Change { seq: self.take_seq(), kind: ChangeKind::Write { offset, bytes: bytes.into(), extends } };
        let file = self.file_mut(node)?;
        file.seen = seen;
        file.pending.push(change);
        Ok(())
    }

    pub fn set_len(&mut self, node: NodeId, len: u64) -> Result<()> {
        if len > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge);
        }
        let change = Change { seq: self.take_seq(), kind: ChangeKind::SetLen(len) };
        let file = self.file_mut(node)?;
        file.seen.set_len(len);
        file.length_kept = file.length_kept.min(len);
        file.pending.push(change);
        Ok(())
    }

    /// Makes what was written to the file durable.
    pub fn sync_file(&mut self, node: NodeId) -> Result<()> {
        let file = self.file(node)?;
        let is_metadata = |change: &Change| match change.kind {
            ChangeKind::Write { extends, .. } => extends,
            ChangeKind::SetLen(_) => true,
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
                ChangeKind::Write { offset, bytes, .. } => file.durable.write(&bytes, offset),
                ChangeKind::SetLen(len) => file.durable.set_len(len),
            }
        }
        file.length_kept = 0;
        Ok(())
    }

    /// What was to be synced will never reach the disk, though readers go on to see it.
    pub fn forget_pending(&mut self, node: NodeId) -> Result<()> {
        let file = self.file_mut(node)?;
        file.pending.clear();
        file.is_forgetful = true;
        Ok(())
    }

    /// Readers see what is durable, and what is still pending.
    pub fn drop_cache(&mut self, node: NodeId) -> Result<()> {
        if !self.file(node)?.is_forgetful {
            return Ok(());
        }
        let file = self.file_mut(node)?;
        file.seen = file.durable.clone();
        for change in &file.pending {
            match &change.kind {
                ChangeKind::Write { offset, bytes, .. } => file.seen.write(bytes, *offset),
                ChangeKind::SetLen(len) => file.seen.set_len(*len),
            }
        }
        file.is_forgetful = false;
        Ok(())
    }

    /// Makes the changes of names in the directory durable.
    pub fn sync_directory(&mut self, node: NodeId) -> Result<()> {
        let Some(last) = self.directory(node)?.pending.last().map(|change| change.seq) else { return Ok(()) };
        let directory = self.directory_mut(node)?;
        let pending = std::mem::take(&mut directory.pending);
        for change in &pending {
            change.apply(&mut directory.durable);
        }
        for change in pending {
            if let NameChangeKind::Rename { replacing_len: Some(len), .. } = change.kind
                && let Ok(file) = self.file_mut(change.node)
                && file.durable.len() < len.min(file.seen.len())
            {
                file.length_kept = len.min(file.seen.len());
            }
        }
        if last >= self.committed {
            self.committed = self.next_seq;
        }
        self.forget_unreachable();
        Ok(())
    }

    /// The nodes that have a name, or may have one after a crash.
    pub fn reachable(&self) -> BTreeSet<NodeId> {
        let of = |directory: &Arc<DirectoryNode>| {
            let names = directory.durable.values().chain(directory.seen.values()).copied();
            names.chain(directory.pending.iter().map(|change| change.node)).collect::<Vec<_>>()
        };
        self.directories.values().flat_map(of).collect()
    }

    /// Whether nothing was changed between the two, which are of the same disk.
    pub fn is_same(&self, other: &Self) -> bool {
        fn all_same<T>(one: &BTreeMap<NodeId, Arc<T>>, other: &BTreeMap<NodeId, Arc<T>>) -> bool {
            let same = |((node, one), (other_node, other))| node == other_node && Arc::ptr_eq(one, other);
            one.len() == other.len() && one.iter().zip(other).all(same)
        }
        self.committed == other.committed
            && all_same(&self.files, &other.files)
            && all_same(&self.directories, &other.directories)
    }

    /// Frees the files that have no name and no handle.
    pub fn forget_unreachable(&mut self) {
        let reachable = self.reachable();
        self.files.retain(|node, _| self.handles.contains_key(node) || reachable.contains(node));
    }

    /// The bytes that files take which have a name or a handle.
    pub fn space_bytes(&self) -> u64 {
        let named: BTreeSet<_> = self.directories.values().flat_map(|directory| directory.seen.values()).collect();
        let counts = |(node, _): &(&NodeId, &Arc<FileNode>)| self.handles.contains_key(node) || named.contains(node);
        self.files.iter().filter(counts).map(|(_, file)| file.seen.space_bytes()).sum()
    }

    /// The files that have a name, by their paths from the top.
    pub fn paths(&self) -> BTreeMap<String, NodeId> {
        let mut paths = BTreeMap::new();
        let mut directories = vec![(String::new(), ROOT)];
        while let Some((prefix, node)) = directories.pop() {
            let Ok(directory) = self.directory(node) else { continue };
            for (name, node) in &directory.seen {
                if self.directories.contains_key(node) {
                    directories.push((format!("{prefix}{name}/"), *node));
                } else {
                    paths.insert(format!("{prefix}{name}"), *node);
                }
            }
        }
        paths
    }
}
