//! delete: deletes keys, or a range of them.

use std::ffi::OsString;

use kv_store::{Batch, Collection, Store};

use super::get::absent_keys;
use crate::{
    encoding::EncodingArgs,
    env::Env,
    failure::{Context, Failure},
    keys::{Range, RangeArgs},
    opening,
    output::{counted_entries, escaped},
};

pub const HELP: &str = "\
Several keys are deleted in one step. If one of them is absent, the others are
deleted, and the exit code is 1.

With --prefix, --from or --to, everything in that range is deleted, in batches
of 1,000 keys. Each batch is deleted completely or not at all; if the command is
interrupted, run it again. It is no error if there is nothing to delete. On a
terminal it asks first; elsewhere it needs --yes.

`kv clear` deletes all keys of a collection in one step, at once.";

const BATCH_KEYS_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The collection
    collection: OsString,
    /// The keys
    #[arg(allow_negative_numbers = true, value_name = "KEY")]
    keys: Vec<OsString>,
    #[command(flatten)]
    range: RangeArgs,
    /// Do not ask before a range is deleted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    encoding: EncodingArgs,
}

pub fn run(env: &mut Env<'_>, args: &Delete) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let encoding = args.encoding.encoding();
    match (args.keys.is_empty(), args.range.is_empty()) {
        (true, true) => {
            return Err(Failure::Usage(
                "nothing to delete: give keys, or --prefix, --from or --to; `kv clear` deletes all keys".into(),
            ));
        }
        (false, false) => return Err(Failure::Usage("give either keys, or --prefix, --from or --to".into())),
        _ => {}
    }
    let range = args.range.range(encoding)?;
    let decoded = args.keys.iter().map(|key| encoding.argument("key", key));
    let keys = decoded.collect::<Result<Vec<_>, _>>()?;
    keys.iter().try_for_each(|key| opening::check_key(key))?;
    let store = opening::existing(env)?;
    let collection = opening::collection(&store, name)?;
    match keys.is_empty() {
        true => delete_range(env, args.yes, &store, &collection, range)?,
        false => delete_keys(&store, &collection, &keys)?,
    }
    opening::close(env, &store);
    Ok(())
}

fn delete_keys(store: &Store, collection: &Collection, keys: &[Vec<u8>]) -> Result<(), Failure> {
    let name = collection.name();
    let deleted = store
        .transact(|tx| keys.iter().map(|key| tx.delete_if_present(name, key)).collect::<kv_store::Result<Vec<bool>>>());
    let deleted = deleted.doing(|| match keys {
        [key] => format!("cannot delete the key \"{}\" of {name:?}", escaped(key)),
        _ => format!("cannot delete keys of {name:?}"),
    })?;
    if let ([key], [false]) = (keys, &deleted[..]) {
        return Err(opening::absent_key(store, collection, key));
    }
    let absent: Vec<&[u8]> =
        keys.iter().zip(&deleted).filter(|(_, deleted)| !**deleted).map(|(key, _)| &**key).collect();
    if absent.len() == keys.len() && !opening::exists(store, name)? {
        return Err(opening::absent_collection(store, name));
    }
    absent_keys(collection, &absent)
}

fn delete_range(
    env: &mut Env<'_>,
    yes: bool,
    store: &Store,
    collection: &Collection,
    mut range: Range,
) -> Result<(), Failure> {
    let name = collection.name();
    let what = || format!("cannot delete keys of {name:?}");
    if !opening::exists(store, name)? {
        return Err(opening::absent_collection(store, name));
    }
    env.confirm(yes, || {
        let mut count = 0;
        for entry in collection.range::<&[u8]>(range.bounds()) {
            entry.doing(what)?;
            count += 1;
        }
        Ok(format!("Delete {} of {name:?}?", counted_entries(count)))
    })?;
    let mut count = 0;
    loop {
        let mut batch = Batch::new();
        let mut last = None;
        for entry in collection.range::<&[u8]>(range.bounds()).take(BATCH_KEYS_MAX) {
            let key = entry.doing(what)?.key;
            batch.delete_if_present(name, &key);
            last = Some(key);
        }
        let Some(last) = last else { break };
        store.write(&batch).doing(|| format!("{} (deleted before: {})", what(), counted_entries(count)))?;
        count += batch.len() as u64;
        // The next batch does not look at what this one has left behind.
        range = range.after(&last);
    }
    env.teller.report(format_args!("deleted {} of {name:?}", counted_entries(count)));
    Ok(())
}
