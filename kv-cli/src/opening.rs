//! Opening the store in a directory. A command that only reads never creates one.

use std::{ffi::OsStr, io::ErrorKind, path::Path};

use kv_store::{Collection, Error, Options, Store};

use crate::{
    failure::{Context, Failure, explain},
    output::{escaped, tell},
};

/// Opens the store in `dir`, which must exist.
pub fn existing(dir: &Path) -> Result<Store, Failure> {
    match Options::default().create(false).open(dir) {
        Err(error) if is_absence(&error) => Err(absent(dir)),
        opened => opened.doing(|| doing(dir)).inspect(notes),
    }
}

/// Opens the store in `dir`, and creates it if it is absent.
pub fn or_new(dir: &Path) -> Result<Store, Failure> {
    kv_store::open(dir).doing(|| doing(dir)).inspect(notes)
}

fn doing(dir: &Path) -> String {
    format!("cannot open the store in {}", dir.display())
}

/// Whether an error says that there is no store.
pub fn is_absence(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// The failure of a command that found no store. The path in it is absolute, because a relative one
/// is often looked for in the wrong directory.
pub fn absent(dir: &Path) -> Failure {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    Failure::Absent(format!(
        "there is no store in {}; put and import create one there, --dir or KV_DIR name another directory",
        dir.display()
    ))
}

/// Reports what the user should know about the opening: that a torn tail was truncated, or that a
/// checkpoint cannot be used.
fn notes(store: &Store) {
    let recovery = store.recovery();
    if !recovery.log_notes.is_empty() || !recovery.bad_checkpoints.is_empty() {
        tell(format_args!("kv: note: {recovery}"));
    }
}

/// A handle to a collection, whether or not it exists.
pub fn collection(store: &Store, name: &OsStr) -> Result<Collection, Failure> {
    let name = name_of(name)?;
    store.collection(name).doing(|| format!("cannot use the collection \"{}\"", escaped(name.as_bytes())))
}

/// A handle to a collection that exists.
pub fn existing_collection(store: &Store, name: &OsStr) -> Result<Collection, Failure> {
    let collection = collection(store, name)?;
    if exists(store, collection.name())? {
        return Ok(collection);
    }
    Err(absent_collection(collection.name()))
}

/// The failure of a command that found no such collection.
pub fn absent_collection(name: &str) -> Failure {
    Failure::Absent(format!("there is no collection {name:?}; `kv list` shows the collections"))
}

/// Whether there is a collection of that name.
pub fn exists(store: &Store, name: &str) -> Result<bool, Failure> {
    let all = store.collections().doing(|| "cannot list the collections".into())?;
    Ok(all.iter().any(|info| info.name == name))
}

/// A collection's name, which has to be UTF-8.
pub fn name_of(name: &OsStr) -> Result<&str, Failure> {
    name.to_str().ok_or_else(|| Failure::Refused(format!("the collection name {name:?} is not UTF-8")))
}

/// Closes a store that was written to. A failure is only reported and is not fatal, because what
/// was acknowledged is safe.
pub fn close(store: &Store) {
    if let Err(error) = store.close() {
        let line = explain("warning: cannot close the store cleanly", &error);
        tell(format_args!("kv: {line} (everything that was acknowledged is safe)"));
    }
}
