//! What is on a simulated disk: for each file and directory what is durable, what is pending, and
//! what readers see.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    sync::Arc,
};

mod files;
mod names;

pub(super) use self::{
    files::{FileChange, FileChangeKind, FileNode},
    names::{DirectoryNode, NameChangeKind},
};

pub(super) type NodeId = u64;
/// The order of changes, over the whole disk.
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
    /// The number of open handles of each file that has any.
    pub handles: BTreeMap<NodeId, u32>,
    /// How many bytes files may take.
    pub space_bytes_max: u64,
    /// A write needs free space for all its pages, even for those that the file already has.
    pub copies_on_write: bool,
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
            copies_on_write: false,
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

    /// The node with this name.
    pub fn look_up(&self, directory: NodeId, name: &str) -> Result<NodeId> {
        self.directory(directory)?.seen.get(name).copied().ok_or(ErrorKind::NotFound)
    }

    /// The file with this name.
    pub fn find_file(&self, directory: NodeId, name: &str) -> Result<NodeId> {
        let node = self.look_up(directory, name)?;
        if self.files.contains_key(&node) { Ok(node) } else { Err(ErrorKind::InvalidInput) }
    }

    /// Counts an open handle.
    pub fn open(&mut self, node: NodeId) -> Result<NodeId> {
        self.file(node)?;
        *self.handles.entry(node).or_default() += 1;
        Ok(node)
    }

    /// Closes a handle. A file that was removed meanwhile is freed with its last handle.
    pub fn close(&mut self, node: NodeId) {
        if let Some(handles) = self.handles.get_mut(&node) {
            *handles -= 1;
            if *handles == 0 {
                self.handles.remove(&node);
            }
        }
    }

    fn take_seq(&mut self) -> Seq {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// The nodes that have a name, or may have one after a crash.
    pub fn reachable(&self) -> BTreeSet<NodeId> {
        let of = |directory: &Arc<DirectoryNode>| {
            let names = directory.durable.values().chain(directory.seen.values()).copied();
            names.chain(directory.pending.iter().map(|change| change.node)).collect::<Vec<_>>()
        };
        self.directories.values().flat_map(of).collect()
    }

    /// Whether nothing was changed between the two, which are states of the same disk.
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
