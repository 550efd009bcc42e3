//! put, get and delete.

use std::{
    borrow::Cow,
    ffi::OsStr,
    io::{self, IsTerminal, Read, Write},
    path::Path,
};

use kv_store::{Store, VALUE_BYTES_MAX};

use super::bytes;
use crate::{
    cli::{Key, Put},
    failure::{Context, Failure},
    opening,
    output::escaped,
};

pub fn put(dir: &Path, args: &Put) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    // Read before the store is opened, so that the store is not locked while a user types.
    let value = value_of(args.value.as_deref())?;
    let store = opening::or_new(dir)?;
    let collection = opening::collection(&store, &args.collection)?;
    collection
        .put(bytes(&args.key), &value)
        .doing(|| format!("cannot put the key \"{}\" into {name:?}", escaped(bytes(&args.key))))?;
    opening::close(&store);
    Ok(())
}

fn value_of(argument: Option<&OsStr>) -> Result<Cow<'_, [u8]>, Failure> {
    match argument {
        Some(value) if value != "-" => return Ok(bytes(value).into()),
        None if io::stdin().is_terminal() => {
            return Err(Failure::Usage(
                "no value: give it as an argument, pipe it in, or type it after `-` (end with Ctrl-D)".into(),
            ));
        }
        _ => {}
    }
    let mut value = Vec::new();
    // One byte more than allowed is enough to see that a value is too long.
    let limit = VALUE_BYTES_MAX as u64 + 1;
    io::stdin().lock().take(limit).read_to_end(&mut value).doing(|| "cannot read the value from stdin".into())?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(Failure::Refused(format!(
            "the value from stdin is longer than {VALUE_BYTES_MAX} bytes, the longest that a value may be"
        )));
    }
    Ok(value.into())
}

pub fn get(dir: &Path, args: &Key, out: &mut dyn Write) -> Result<(), Failure> {
    let store = opening::existing(dir)?;
    let collection = opening::collection(&store, &args.collection)?;
    let key = bytes(&args.key);
    let what = || format!("cannot get the key \"{}\" of {:?}", escaped(key), collection.name());
    match collection.get(key).doing(what)? {
        Some(value) => out.write_all(&value).map_err(Failure::Output),
        None => Err(absent(&store, collection.name(), key)),
    }
}

pub fn delete(dir: &Path, args: &Key) -> Result<(), Failure> {
    let store = opening::existing(dir)?;
    let collection = opening::collection(&store, &args.collection)?;
    let key = bytes(&args.key);
    match collection.delete(key) {
        Err(kv_store::Error::KeyNotFound { .. }) => Err(absent(&store, collection.name(), key)),
        other => other.doing(|| format!("cannot delete the key \"{}\" of {:?}", escaped(key), collection.name())),
    }?;
    opening::close(&store);
    Ok(())
}

/// The failure for an absent key. It says if the whole collection is absent.
fn absent(store: &Store, collection: &str, key: &[u8]) -> Failure {
    match opening::exists(store, collection) {
        Ok(true) => Failure::Absent(format!("there is no key \"{}\" in the collection {collection:?}", escaped(key))),
        Ok(false) => opening::absent_collection(collection),
        Err(failure) => failure,
    }
}
