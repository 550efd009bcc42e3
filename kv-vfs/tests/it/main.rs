//! The guarantees of `OsVfs`, on the file system that the tests run on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod directories;
mod files;
mod forks;
mod links;
mod locks;
mod maps;
mod space;

use std::{
    env,
    fmt::Debug,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use kv_vfs::{Error, OsVfs};
use tempfile::TempDir;

/// Tells a test that it runs in a child process, and in which directory.
const CHILD_DIRECTORY: &str = "KV_VFS_TEST_CHILD_DIRECTORY";

/// An empty directory and its `OsVfs`.
fn empty() -> (TempDir, Arc<OsVfs>) {
    let directory = tempfile::tempdir().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    (directory, vfs)
}

/// A command that runs one test of this binary in a child process. The child gets `directory` from
/// [`child_directory`].
fn child(test: &str, directory: &Path) -> Command {
    // With a umask of 0, the modes come from the code under test.
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    command.arg(env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    command.env(CHILD_DIRECTORY, directory);
    command
}

fn child_directory() -> Option<PathBuf> {
    env::var_os(CHILD_DIRECTORY).map(PathBuf::from)
}

/// The permission bits of a file or directory.
fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[track_caller]
fn kind<T: Debug>(result: Result<T, Error>) -> io::ErrorKind {
    result.unwrap_err().kind()
}
