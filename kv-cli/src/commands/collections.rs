//! drop, clear and rename: what is done to a whole collection.

use std::ffi::OsString;

use kv_store::{Error, Store, Transaction};

use crate::{
    env::Env,
    failure::{Context, Failure},
    opening,
    output::counted_entries,
};

#[derive(Debug, clap::Args)]
pub struct Emptied {
    /// The collection
    collection: OsString,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct Rename {
    /// The collection
    collection: OsString,
    /// Its new name, which must be free
    name: OsString,
}

pub fn drop(env: &mut Env<'_>, args: &Emptied) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let store = opening::existing(env)?;
    let entries = counted_entries(entries_of(&store, name)?);
    env.confirm(args.yes, || Ok(format!("Drop {name:?} with {entries}?")))?;
    store.drop_collection(name).doing(|| format!("cannot drop {name:?}"))?;
    env.teller.report(format_args!("dropped {name:?} with {entries}"));
    opening::close(env, &store);
    Ok(())
}

pub fn clear(env: &mut Env<'_>, args: &Emptied) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let store = opening::existing(env)?;
    let entries = counted_entries(entries_of(&store, name)?);
    env.confirm(args.yes, || Ok(format!("Delete {entries} of {name:?}?")))?;
    store.clear_collection(name).doing(|| format!("cannot clear {name:?}"))?;
    env.teller.report(format_args!("deleted {entries} of {name:?}"));
    opening::close(env, &store);
    Ok(())
}

fn entries_of(store: &Store, name: &str) -> Result<u64, Failure> {
    let all = store.collections().doing(|| "cannot list the collections".into())?;
    let info = all.into_iter().find(|info| info.name == name);
    info.map(|info| info.entries).ok_or_else(|| opening::absent_collection(&store.snapshot(), name))
}

pub fn rename(env: &mut Env<'_>, args: &Rename) -> Result<(), Failure> {
    let (from, to) = (opening::name_of(&args.collection)?, opening::name_of(&args.name)?);
    let store = opening::existing(env)?;
    match store.rename_collection(from, to) {
        Err(Error::CollectionNotFound { .. }) => return Err(opening::absent_collection(&store.snapshot(), from)),
        Err(Error::CollectionExists { .. }) => {
            let text =
                format!("cannot rename {from:?}: there is a collection {to:?} already; drop or rename that first");
            return Err(Failure::Refused(text));
        }
        renamed => renamed.doing(|| format!("cannot rename {from:?}"))?,
    }
    opening::close(env, &store);
    Ok(())
}

pub fn drop_within(env: &mut Env<'_>, tx: &mut Transaction<'_>, args: &Emptied) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let what = || format!("cannot drop {name:?}");
    let entries = counted_entries(tx.len(name).doing(what)?);
    env.confirm(args.yes, || Ok(format!("Drop {name:?} with {entries}?")))?;
    tx.drop_collection(name).doing(what)
}

pub fn clear_within(env: &mut Env<'_>, tx: &mut Transaction<'_>, args: &Emptied) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let what = || format!("cannot clear {name:?}");
    let entries = counted_entries(tx.len(name).doing(what)?);
    env.confirm(args.yes, || Ok(format!("Delete {entries} of {name:?}?")))?;
    tx.clear_collection(name).doing(what)
}

pub fn rename_within(tx: &mut Transaction<'_>, args: &Rename) -> Result<(), Failure> {
    let (from, to) = (opening::name_of(&args.collection)?, opening::name_of(&args.name)?);
    tx.rename_collection(from, to).doing(|| format!("cannot rename {from:?}"))
}
