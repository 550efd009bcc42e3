//! delete: deletes keys, or a range of them.

use std::ffi::OsString;

use kv_store::{Collection, Store, Transaction};

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
of 1,024 keys. Each batch is deleted completely or not at all; if the command is
interrupted, run it again. It is no error if there is nothing to delete. On a
terminal it asks first; elsewhere it needs --yes.

`kv clear` deletes all keys of a collection in one step, at once.";

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

/// What is deleted.
enum Chosen {
    Keys(Vec<Vec<u8>>),
    Range(Range),
}

impl Delete {
    /// The collection, and what is deleted of it.
    fn parts(&self) -> Result<(&str, Chosen), Failure> {
        let name = opening::name_of(&self.collection)?;
        let encoding = self.encoding.encoding();
        match (self.keys.is_empty(), self.range.is_empty()) {
            (true, true) => Err(Failure::Usage(
                "nothing to delete: give keys, or --prefix, --from or --to; `kv clear` deletes all keys".into(),
            )),
            (false, false) => Err(Failure::Usage("give either keys, or --prefix, --from or --to".into())),
            (false, true) => Ok((name, Chosen::Keys(encoding.keys(&self.keys)?))),
            (true, false) => Ok((name, Chosen::Range(self.range.range(encoding)?))),
        }
    }
}

pub fn run(env: &mut Env<'_>, args: &Delete) -> Result<(), Failure> {
    let (name, chosen) = args.parts()?;
    let store = opening::existing(env)?;
    let collection = opening::collection(&store, name)?;
    match chosen {
        Chosen::Keys(keys) => delete_keys(&store, &collection, &keys)?,
        Chosen::Range(range) => delete_range(env, args.yes, &store, &collection, &range)?,
    }
    opening::close(env, &store);
    Ok(())
}

pub fn within(env: &mut Env<'_>, tx: &mut Transaction<'_>, args: &Delete) -> Result<(), Failure> {
    let (name, chosen) = args.parts()?;
    let what = || format!("cannot delete keys of {name:?}");
    let keys = match chosen {
        Chosen::Keys(keys) => keys,
        Chosen::Range(range) => {
            let found = tx.range::<&[u8]>(name, range.bounds()).map(|entry| Ok(entry?.key.to_vec()));
            let keys = found.collect::<kv_store::Result<Vec<_>>>().doing(what)?;
            env.confirm(args.yes, || Ok(format!("Delete {} of {name:?}?", counted_entries(keys.len() as u64))))?;
            keys
        }
    };
    let mut absent = Vec::new();
    for key in &keys {
        if !tx.delete_if_present(name, key).doing(what)? {
            absent.push(&**key);
        }
    }
    absent_keys(name, &absent)
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
        return Err(opening::absent_key(&store.snapshot(), name, key));
    }
    let absent: Vec<&[u8]> =
        keys.iter().zip(&deleted).filter(|(_, deleted)| !**deleted).map(|(key, _)| &**key).collect();
    if absent.len() == keys.len() && !opening::exists(&store.snapshot(), name)? {
        return Err(opening::absent_collection(&store.snapshot(), name));
    }
    absent_keys(name, &absent)
}

fn delete_range(
    env: &mut Env<'_>,
    yes: bool,
    store: &Store,
    collection: &Collection,
    range: &Range,
) -> Result<(), Failure> {
    let name = collection.name();
    let what = || format!("cannot delete keys of {name:?}");
    if !opening::exists(&store.snapshot(), name)? {
        return Err(opening::absent_collection(&store.snapshot(), name));
    }
    env.confirm(yes, || {
        let mut count = 0;
        for entry in collection.range::<&[u8]>(range.bounds()) {
            entry.doing(what)?;
            count += 1;
        }
        Ok(format!("Delete {} of {name:?}?", counted_entries(count)))
    })?;
    let deleted = collection.delete_range_in_steps::<&[u8]>(range.bounds());
    let count = deleted.doing(|| format!("{}; what was deleted before stays deleted", what()))?;
    env.teller.report(format_args!("deleted {} of {name:?}", counted_entries(count)));
    Ok(())
}
