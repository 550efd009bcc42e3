//! Opening the store in a directory, so that what only reads never makes one.

use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use kv_store::{Collection, Store};

use crate::failure::{Context, Failure};

/// Opens the store in `dir`, which has to be there.
pub fn existing(dir: &Path) -> Result<Store, Failure> {
    must_exist(dir)?;
    or_new(dir)
}

/// Opens the store in `dir`, made if it is not there.
pub fn or_new(dir: &Path) -> Result<Store, Failure> {
    kv_store::open(dir).doing(|| format!("cannot open the store in {}", dir.display()))
}

/// Refuses a directory that holds nothing.
pub fn must_exist(dir: &Path) -> Result<(), Failure> {
    let doing = || format!("cannot open the store in {}", dir.display());
    match holds_nothing(dir) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::Absent(format!(
            "there is no store in {}; put and import make one there, --dir or KV_DIR name another directory",
            dir.display()
        ))),
        Err(e) => Err(e).doing(doing),
    }
}

fn holds_nothing(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().transpose()?.is_none()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
    }
}

/// A handle to a collection, whether or not it is there.
pub fn collection(store: &Store, name: &OsStr) -> Result<Collection, Failure> {
    let name = name_of(name)?;
    store.collection(name).doing(|| format!("cannot use the collection {name:?}"))
}

/// A handle to a collection that is there.
pub fn existing_collection(store: &Store, name: &OsStr) -> Result<Collection, Failure> {
    let collection = collection(store, name)?;
    if exists(store, collection.name())? {
        return Ok(collection);
    }
    let name = collection.name();
    Err(Failure::Absent(format!("there is no collection {name:?}; `kv list` shows those that there are")))
}

/// Whether there is a collection of that name.
pub fn exists(store: &Store, name: &str) -> Result<bool, Failure> {
    let all = store.collections().doing(|| "cannot list the collections".into())?;
    Ok(all.iter().any(|info| info.name == name))
}

/// A collection's name as text, which it has to be.
pub fn name_of(name: &OsStr) -> Result<&str, Failure> {
    name.to_str().ok_or_else(|| Failure::Refused(format!("the collection name {name:?} is not UTF-8")))
}

/// Closes a store that was written to. What was acknowledged is safe whatever happens here, so a failure is only told.
pub fn close(store: &Store) {
    if let Err(error) = store.close() {
        let line = crate::failure::explain("warning: cannot close the store cleanly", &error);
        crate::output::tell(format_args!("kv: {line} (everything that was acknowledged is safe)"));
    }
}
