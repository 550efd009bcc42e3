//! A copy of the workspace's sources, to be edited.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::mutant::Mutant;
use crate::Result;

/// The copy.
pub struct WorkspaceCopy {
    root: PathBuf,
}

impl WorkspaceCopy {
    /// Makes the copy in `to` the same as `from`: the files in the root, and the folders of the packages. What is the same already stays untouched, so that cargo does not
    /// build it again.
    pub fn refresh(from: &Path, to: PathBuf) -> Result<Self> {
        mirror(from, &to, &|path| path.is_file() || path.join("Cargo.toml").is_file())
            .map_err(|error| format!("cannot copy the sources to {}: {error}", to.display()))?;
        Ok(Self { root: to })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Does something while the bug is in the copy.
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

/// Makes `to` the same as `from`, as far as `wanted` picks what is directly in there. Build output and hidden files are left out.
fn mirror(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if name == "target" || name.as_encoded_bytes().starts_with(b".") || !wanted(&path) {
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
        if !names.iter().any(|name| *name == entry.file_name()) {
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
    if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}
