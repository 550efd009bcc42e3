//! The files of a store, by what they are for.

use std::{fs, io, path::Path};

/// How many files there are, and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub count: u64,
    pub bytes: u64,
}

impl Files {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }

    /// All files below a directory.
    pub fn below(dir: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // A background job has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            match metadata.is_dir() {
                true => files.add(Self::below(&entry.path())?),
                false => files.add(Self { count: 1, bytes: metadata.len() }),
            }
        }
        Ok(files)
    }
}

/// How many bytes the file system of a directory has left for this user; `None` if it does not say.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(dir).ok()?;
    (space.f_blocks > 0).then(|| space.f_bavail.saturating_mul(space.f_frsize))
}
