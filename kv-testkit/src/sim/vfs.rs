//! The simulated disk as a file layer.

use std::{
    any::Any,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use kv_vfs::{Access, Error, File, Lock, Result, Space, Vfs};

use super::{
    disk::SimDisk,
    execution::Execution,
    state::{NodeId, ROOT, State},
};
use crate::vfs::{Event, Kind};

/// The path that the top directory reports.
const TOP: &str = "/sim";

impl SimDisk {
    /// The top directory.
    pub fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(SimVfs::new(self.clone(), ROOT, String::new()))
    }
}

/// A directory of a [`SimDisk`].
#[derive(Debug)]
pub(super) struct SimVfs {
    disk: SimDisk,
    node: NodeId,
    /// The path from the top directory, with a trailing slash; empty at the top.
    prefix: String,
    path: PathBuf,
}

impl SimVfs {
    pub fn new(disk: SimDisk, node: NodeId, prefix: String) -> Self {
        let path = Path::new(TOP).join(prefix.trim_end_matches('/'));
        Self { disk, node, prefix, path }
    }

    /// Runs an operation on a name.
    fn run<T>(&self, kind: Kind, name: &str, run: impl FnOnce(&mut State) -> Result<T, ErrorKind>) -> Result<T> {
        let event = Event::new(kind, format!("{}{name}", self.prefix));
        self.disk.run(&event, &self.path.join(name), |state, _| {
            check_name(name)?;
            run(state)
        })
    }

    /// Runs an operation on the directory itself.
    fn run_here<T>(&self, kind: Kind, run: impl FnOnce(&mut State, Execution) -> Result<T, ErrorKind>) -> Result<T> {
        let event = Event::new(kind, self.prefix.trim_end_matches('/').to_owned());
        self.disk.run(&event, &self.path, run)
    }

    fn file(&self, name: &str, node: NodeId, access: Access) -> Arc<dyn File> {
        let label = format!("{}{name}", self.prefix);
        Arc::new(SimFile { disk: self.disk.clone(), node, label, path: self.path.join(name), access })
    }

    fn directory(&self, name: &str, node: NodeId) -> Arc<dyn Vfs> {
        Arc::new(Self::new(self.disk.clone(), node, format!("{}{name}/", self.prefix)))
    }
}

fn check_name(name: &str) -> Result<(), ErrorKind> {
    let is_name = !name.is_empty() && name != "." && name != ".." && !name.contains('/') && !name.contains('\0');
    if is_name { Ok(()) } else { Err(ErrorKind::InvalidInput) }
}

fn find_directory(state: &State, parent: NodeId, name: &str) -> Result<NodeId, ErrorKind> {
    let node = state.look_up(parent, name)?;
    if state.directories.contains_key(&node) { Ok(node) } else { Err(ErrorKind::NotADirectory) }
}

impl Vfs for SimVfs {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        let node =
            self.run(Kind::Open, name, |state| state.find_file(self.node, name).and_then(|node| state.open(node)))?;
        Ok(self.file(name, node, access))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let node =
            self.run(Kind::Create, name, |state| state.create_file(self.node, name).and_then(|node| state.open(node)))?;
        Ok(self.file(name, node, Access::ReadWrite))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let label = |name| format!("{}{name}", self.prefix);
        let event = Event { to: label(to), ..Event::new(Kind::Rename, label(from)) };
        self.disk.run(&event, &self.path.join(from), |state, _| {
            check_name(from)?;
            check_name(to)?;
            state.rename(self.node, from, to)
        })
    }

    /// Fails between two disks.
    fn link(&self, name: &str, to: &dyn Vfs, new_name: &str) -> Result<()> {
        let Some(to) = (to as &dyn Any).downcast_ref::<Self>().filter(|to| to.disk.is_one_with(&self.disk)) else {
            return Err(Error::new("link", self.path.join(name), ErrorKind::CrossesDevices));
        };
        let event = Event {
            to: format!("{}{new_name}", to.prefix),
            ..Event::new(Kind::Link, format!("{}{name}", self.prefix))
        };
        self.disk.run(&event, &self.path.join(name), |state, _| {
            check_name(name)?;
            check_name(new_name)?;
            state.link(self.node, name, to.node, new_name)
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run(Kind::Remove, name, |state| state.remove(self.node, name))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.run_here(Kind::List, |state, _| Ok(state.directory(self.node)?.seen.keys().cloned().collect()))
    }

    fn sync_directory(&self) -> Result<()> {
        self.run_here(Kind::SyncDirectory, |state, execution| match execution {
            Execution::Pretending => Ok(()),
            _ => state.sync_directory(self.node),
        })
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        let node = self.run(Kind::OpenDirectory, name, |state| find_directory(state, self.node, name))?;
        Ok(self.directory(name, node))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        let node = self.run(Kind::CreateDirectory, name, |state| match find_directory(state, self.node, name) {
            Err(ErrorKind::NotFound) => state.create_directory(self.node, name),
            found => found,
        })?;
        Ok(self.directory(name, node))
    }

    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        self.run(Kind::Lock, name, |state| match state.find_file(self.node, name) {
            Err(ErrorKind::NotFound) if access == Access::ReadWrite => state.create_file(self.node, name),
            found => found,
        })?;
        Ok(self.disk.try_lock(self.node, name).map(Lock::new))
    }

    /// A disk in memory is this process's alone.
    fn lock_holder(&self, _name: &str) -> Option<u32> {
        Some(std::process::id())
    }

    fn is_in_place(&self) -> bool {
        true // its directories are never removed, and a renamed one is not looked for
    }

    fn block_bytes(&self) -> u32 {
        4096
    }

    fn space(&self) -> Result<Space> {
        let state = &self.disk.lock().state;
        let total = state.space_bytes_max;
        Ok(Space { free: total.saturating_sub(state.space_bytes()), total })
    }

    fn random(&self) -> Result<u128> {
        self.run_here(Kind::Random, |_, _| Ok(()))?;
        Ok(self.disk.random())
    }
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: NodeId,
    /// The path from the top directory.
    label: String,
    path: PathBuf,
    access: Access,
}

impl SimFile {
    fn run<T>(&self, kind: Kind, run: impl FnOnce(&mut State, Execution) -> Result<T, ErrorKind>) -> Result<T> {
        self.run_at(kind, 0, 0, run)
    }

    fn run_at<T>(
        &self,
        kind: Kind,
        offset: u64,
        bytes: usize,
        run: impl FnOnce(&mut State, Execution) -> Result<T, ErrorKind>,
    ) -> Result<T> {
        let event = Event { offset, bytes, ..Event::new(kind, self.label.clone()) };
        if matches!(kind, Kind::Write | Kind::SetLen) && self.access == Access::Read {
            return Err(Error::new(kind.verb(), &self.path, ErrorKind::PermissionDenied));
        }
        self.disk.run(&event, &self.path, run)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.closed(self.node);
    }
}

impl File for SimFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let len = buffer.len();
        self.run_at(Kind::Read, offset, len, |state, execution| {
            let file = state.file(self.node)?;
            Ok(match execution {
                Execution::Damaged(damage) => damage.seen(file).read(buffer, offset),
                Execution::Half => file.seen.read(&mut buffer[..len.div_ceil(2)], offset),
                _ => file.seen.read(buffer, offset),
            })
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.run_at(Kind::Write, offset, bytes.len(), |state, execution| {
            let bytes = match execution {
                Execution::Half => &bytes[..bytes.len().div_ceil(2)],
                Execution::Nothing => &[],
                Execution::Enlarging => {
                    state.enlarge(self.node, offset + bytes.len() as u64)?;
                    &[]
                }
                _ => bytes,
            };
            if bytes.is_empty() { Ok(0) } else { state.write(self.node, offset, bytes) }
        })
    }

    fn is_overwritten_in_place(&self) -> bool {
        !self.disk.lock().state.copies_on_write
    }

    fn sync_data(&self) -> Result<()> {
        self.run(Kind::Sync, |state, execution| match execution {
            Execution::Pretending => Ok(()),
            Execution::Forgetting => state.forget_pending(self.node),
            _ => state.sync_file(self.node),
        })
    }

    fn drop_cache(&self) -> Result<()> {
        self.run(Kind::DropCache, |state, _| state.drop_cache(self.node))
    }

    fn len(&self) -> Result<u64> {
        self.run(Kind::Len, |state, _| Ok(state.file(self.node)?.seen.len()))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.run_at(Kind::SetLen, len, 0, |state, execution| match execution {
            Execution::Enlarging => state.enlarge(self.node, len),
            _ => state.set_len(self.node, len),
        })
    }

    /// A copy: later writes do not show in it.
    fn map(&self) -> Result<Bytes> {
        self.run(Kind::Map, |state, execution| {
            let file = state.file(self.node)?;
            Ok(match execution {
                Execution::Damaged(damage) => damage.seen(file).to_vec(),
                _ => file.seen.to_vec(),
            }
            .into())
        })
    }
}
