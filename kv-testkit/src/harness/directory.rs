use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_vfs::OsVfs;

use super::medium::{FileMedium, Medium};
use crate::vfs::{Fault, Files, TestVfs, read_files, write_files};

/// A directory of the operating system; after a kill, a copy of it.
pub struct Directory {
    parent: Box<dyn AsRef<Path>>,
    number: u32,
    vfs: Arc<TestVfs>,
}

impl Directory {
    pub(super) fn new(parent: impl AsRef<Path> + 'static) -> Self {
        let path = parent.as_ref().join("0");
        let made = fs::create_dir(&path);
        made.unwrap_or_else(|error| panic!("each harness needs a parent of its own: {}: {error}", path.display()));
        Self { parent: Box::new(parent), number: 0, vfs: at(&path) }
    }

    /// The current directory, below a layer that fails on demand.
    pub fn vfs(&self) -> Arc<TestVfs> {
        Arc::clone(&self.vfs)
    }

    fn path(&self) -> PathBuf {
        (*self.parent).as_ref().join(self.number.to_string())
    }
}

fn at(path: &Path) -> Arc<TestVfs> {
    TestVfs::new(OsVfs::open(path).unwrap())
}

impl Medium for Directory {
    fn kill(&mut self) {
        self.number += 1;
        self.vfs.image(self.path()).unwrap();
        self.vfs = at(&self.path());
    }
}

impl FileMedium for Directory {
    fn fail(&self, fault: Fault) {
        self.vfs.fail(fault);
    }

    fn heal(&self) {
        self.vfs.heal();
    }

    fn failures(&self) -> u64 {
        self.vfs.failures()
    }

    fn files(&self) -> Files {
        read_files(&self.path()).unwrap()
    }

    fn restore(&mut self, files: &Files) {
        write_files(&self.path(), files).unwrap();
        self.vfs = at(&self.path());
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("vfs", &self.vfs).finish_non_exhaustive()
    }
}
