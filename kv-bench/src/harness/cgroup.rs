//! A cgroup that limits the memory of this process, its page cache included.

use std::{
    cell::Cell,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process,
};

use super::engine::Result;

/// The file with the limit: of version 2, and of version 1.
const LIMITS: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];
/// Version 2 limits swap on its own.
const SWAP: &str = "memory.swap.max";
const PROCESSES: &str = "cgroup.procs";

/// A cgroup inside one that the user has prepared, for one process at a time. When it is dropped,
/// this process goes to the prepared one, and it is removed. If the prepared one may not hold
/// processes, which is usual in version 2, the next one removes it.
pub struct Cgroup {
    parent: PathBuf,
    path: PathBuf,
    entered: Cell<bool>,
}

impl Cgroup {
    /// A new cgroup inside of `parent`, whose processes together may take this many bytes of
    /// memory.
    ///
    /// # Errors
    /// If `parent` is not a cgroup that limits memory in the cgroups inside of it, or may not be
    /// changed by this process.
    pub fn new(parent: &Path, bytes: u64) -> Result<Self> {
        let path = parent.join("kv-bench");
        let _ = fs::remove_dir(&path); // left by the last one
        fs::create_dir(&path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        let cgroup = Self { parent: parent.to_owned(), path, entered: Cell::new(false) };
        let limit = LIMITS.iter().find(|limit| cgroup.path.join(limit).exists());
        let limit = limit.ok_or_else(|| format!("{} does not limit memory", parent.display()))?;
        write(&cgroup.path.join(limit), bytes)?;
        if cgroup.path.join(SWAP).exists() {
            write(&cgroup.path.join(SWAP), 0)?;
        }
        Ok(cgroup)
    }

    /// Moves this process into it.
    ///
    /// # Errors
    /// If this process may not be moved.
    pub fn enter(&self) -> Result {
        self.entered.set(true);
        write(&self.path.join(PROCESSES), process::id().into())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.entered.get() {
            let _ = write(&self.parent.join(PROCESSES), process::id().into());
        }
        let _ = fs::remove_dir(&self.path);
    }
}

/// Writes a number into a file, which exists.
fn write(file: &Path, number: u64) -> Result {
    let write = || OpenOptions::new().write(true).open(file)?.write_all(number.to_string().as_bytes());
    write().map_err(|error| format!("cannot write {number} to {}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_no_cgroup_is_refused_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let error = Cgroup::new(directory.path(), 1 << 20).err().unwrap();
        assert!(error.to_string().contains("does not limit memory"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(Cgroup::new(&directory.path().join("absent"), 1 << 20).is_err());
    }
}
