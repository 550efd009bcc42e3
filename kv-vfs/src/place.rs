//! Where a directory was found, so that it is noticed when it was removed or replaced.

use std::{
    fs,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The place in the file system at which a directory was opened.
#[derive(Debug)]
pub(crate) struct Place {
    /// From the root and without links: neither a link that leads elsewhere now, nor another
    /// working directory of this process, replaces a directory. `None` if it could not be found
    /// out.
    path: Option<PathBuf>,
}

impl Place {
    /// The place of the directory that was just opened by that path.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: fs::canonicalize(path).ok() }
    }

    /// The place of something in it.
    pub(crate) fn join(&self, name: &str) -> Self {
        Self { path: self.path.as_ref().map(|path| path.join(name)) }
    }

    /// Whether the open directory was not removed, and nothing else lies in its place.
    ///
    /// A path that leads nowhere proves nothing: the directory was renamed, or this process has
    /// chosen itself another root, or given away the right to follow the path.
    pub(crate) fn holds(&self, directory: impl AsFd) -> bool {
        let Ok(opened) = rustix::fs::fstat(directory) else { return true };
        let found = self.path.as_ref().and_then(|path| fs::symlink_metadata(path).ok());
        opened.st_nlink > 0 && found.is_none_or(|found| (found.dev(), found.ino()) == (opened.st_dev, opened.st_ino))
    }
}
