//! A copy of the workspace's sources that can be edited.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::mutant::Mutant;
use crate::Result;

/// The copy. It is locked as long as this value exists.
pub struct WorkspaceCopy {
    root: PathBuf,
    _lock: fs::File,
}

impl WorkspaceCopy {
    /// Makes the copy in `to` the same as `from`, without hidden files and without names in the
    /// root that `.gitignore` has. Files that are already the same stay untouched, so that cargo
    /// does not build them again.
    pub fn refresh(from: &Path, to: PathBuf) -> Result<Self> {
        let ignored = fs::read_to_string(from.join(".gitignore")).unwrap_or_default();
        let ignored: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
        let cannot = |error| format!("cannot copy the sources to {}: {error}", to.display());
        let lock = lock(&to).map_err(cannot)?;
        mirror(from, &to, &|name| !ignored.iter().any(|ignored| name == *ignored)).map_err(cannot)?;
        Ok(Self { root: to, _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `work` while the bug is in the copy.
    pub fn with_edit<T>(&self, mutant: &Mutant, work: impl FnOnce() -> T) -> Result<T> {
        let path = self.root.join(&mutant.file);
        let cannot = |error| format!("cannot edit {}: {error}", path.display());
        let sound = fs::read_to_string(&path).map_err(cannot)?;
        fs::write(&path, mutant.edit(&sound)?).map_err(cannot)?;
        let done = work();
        fs::write(&path, sound).map_err(cannot)?;
        Ok(done)
    }
}

/// Waits until no other process uses the copy.
fn lock(copy: &Path) -> io::Result<fs::File> {
    fs::create_dir_all(copy)?;
    let file = fs::File::create(copy.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
}

/// Makes `to` the same as `from`. Leaves out build output, hidden files, and names directly in
/// `from` that are not `wanted`.
fn mirror(from: &Path, to: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if name == "target" || name.as_encoded_bytes().starts_with(b".") || !wanted(&name) {
            continue;
        }
        if path.is_dir() {
            mirror(&path, &to.join(&name), &|_| true)?;
        } else {
            copy_if_different(&path, &to.join(&name))?;
        }
        names.push(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn copy_if_different(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|copied| copied == bytes) {
        return Ok(());
    }
    if to.is_dir() {
        remove(to)?;
    }
    fs::write(to, bytes)
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new, empty folder in cargo's target directory.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::current_exe().unwrap().with_file_name(format!("xtask-mutants-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_copy_becomes_the_same_again_and_what_is_the_same_stays_untouched() {
        let (from, to) = (folder("from"), folder("to"));
        for made in ["kept/src", "kept/target", "data", ".hidden"] {
            fs::create_dir_all(from.join(made)).unwrap();
            fs::write(from.join(made).join("file"), made).unwrap();
        }
        fs::write(from.join(".gitignore"), "/target\n/data\n*.tmp\n").unwrap();
        WorkspaceCopy::refresh(&from, to.clone()).unwrap();
        let copied = to.join("kept/src/file");
        let first = fs::metadata(&copied).unwrap().modified().unwrap();
        assert_eq!(fs::read_to_string(&copied).unwrap(), "kept/src");
        assert!(!to.join("kept/target").exists() && !to.join("data").exists() && !to.join(".hidden").exists());

        fs::write(to.join("kept/left over"), "").unwrap();
        WorkspaceCopy::refresh(&from, to.clone()).unwrap();
        assert_eq!(fs::metadata(&copied).unwrap().modified().unwrap(), first);
        assert!(!to.join("kept/left over").exists());

        fs::write(&copied, "a bug").unwrap();
        WorkspaceCopy::refresh(&from, to).unwrap();
        assert_eq!(fs::read_to_string(&copied).unwrap(), "kept/src");
    }
}
