//! Names: which entries of a directory are durable, which are pending, and what readers see.

use std::{io::ErrorKind, sync::Arc};

use super::{FileNode, Names, NodeId, Result, Seq, State};

#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct DirectoryNode {
    pub durable: Names,
    pub pending: Vec<NameChange>,
    pub seen: Names,
}

/// A change of names that was not synced.
#[derive(Clone, Debug)]
pub(in crate::sim) struct NameChange {
    pub seq: Seq,
    pub node: NodeId,
    pub kind: NameChangeKind,
}

#[derive(Clone, Debug)]
pub(in crate::sim) enum NameChangeKind {
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
    /// Applies the change. A name that now refers to another node is not removed.
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

impl State {
    fn directory_mut(&mut self, node: NodeId) -> Result<&mut DirectoryNode> {
        self.directories.get_mut(&node).map(Arc::make_mut).ok_or(ErrorKind::NotFound)
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

    /// Gives a file another name.
    pub fn link(&mut self, directory: NodeId, name: &str, to: NodeId, new_name: &str) -> Result<()> {
        let node = self.find_file(directory, name)?;
        if self.directory(to)?.seen.contains_key(new_name) {
            return Err(ErrorKind::AlreadyExists);
        }
        self.change_names(to, node, NameChangeKind::Link(new_name.to_owned()))
    }

    pub fn rename(&mut self, directory: NodeId, from: &str, to: &str) -> Result<()> {
        let node = self.look_up(directory, from)?;
        let replaced = self.directory(directory)?.seen.get(to).copied();
        if self.directories.contains_key(&node) {
            if replaced.is_some_and(|replaced| replaced != node) {
                return Err(ErrorKind::AlreadyExists);
            }
            let kind = NameChangeKind::Rename { from: from.to_owned(), to: to.to_owned(), replacing_len: None };
            return if replaced.is_some() { Ok(()) } else { self.change_names(directory, node, kind) };
        }
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

    /// Makes the name changes of the directory durable.
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
}
