//! Remembers where a directory was opened, to notice later that it was removed or replaced.

use std::{
    fs,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The place in the file system at which a directory was opened.
#[derive(Debug)]
pub(crate) struct Place {
    /// Absolute and without links, so that the directory does not seem replaced when a link is
    /// changed or this process changes its working directory. `None` if the path could not be
    /// resolved.
    path: Option<PathBuf>,
}

impl Place {
    /// The place of the directory that was just opened at this path.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: fs::canonicalize(path).ok() }
    }

    /// The place of a subdirectory.
    pub(crate) fn join(&self, name: &str) -> Self {
        Self { path: self.path.as_ref().map(|path| path.join(name)) }
    }

    /// Whether the open directory still exists and nothing else is at its path.
    ///
    /// A path that leads nowhere proves nothing: the directory may have been renamed, or this
    /// process may have changed its root or lost permission to follow the path.
    pub(crate) fn holds(&self, directory: impl AsFd) -> bool {
        let Ok(opened) = rustix::fs::fstat(directory) else { return true };
        let found = self.path.as_ref().and_then(|path| fs::symlink_metadata(path).ok());
        opened.st_nlink > 0 && found.is_none_or(|found| (found.dev(), found.ino()) == (opened.st_dev, opened.st_ino))
    }
}
