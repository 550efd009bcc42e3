//! pop: takes an entry out of a collection.

use std::ffi::OsString;

use kv_store::{Entry, Transaction};

use crate::{
    encoding::EncodingArgs,
    env::Env,
    failure::{Context, Failure},
    listing::Listing,
    opening,
};

pub const HELP: &str = "\
The entry is deleted and printed as by `kv scan`. If there is none, the exit
code is 1. The deletion is on disk before the entry is printed: if the output
cannot be written, the entry is lost.";

#[derive(Debug, clap::Args)]
pub struct Pop {
    /// The collection
    collection: OsString,
    /// Take the entry with the highest key
    #[arg(long)]
    last: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoding: EncodingArgs,
}

pub fn run(env: &mut Env<'_>, args: &Pop) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let store = opening::existing(env)?;
    let collection = opening::collection(&store, name)?;
    let popped = if args.last { collection.pop_last() } else { collection.pop_first() };
    let Some(entry) = popped.doing(|| format!("cannot take an entry out of {name:?}"))? else {
        return Err(match opening::exists(&store.snapshot(), name)? {
            true => Failure::Absent(format!("there is no entry in the collection {name:?}")),
            false => opening::absent_collection(&store.snapshot(), name),
        });
    };
    show(env, args, &entry)?;
    opening::close(env, &store);
    Ok(())
}

pub fn within(env: &mut Env<'_>, tx: &mut Transaction<'_>, args: &Pop) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let popped = if args.last { tx.pop_last(name) } else { tx.pop_first(name) };
    match popped.doing(|| format!("cannot take an entry out of {name:?}"))? {
        Some(entry) => show(env, args, &entry),
        None => Err(Failure::Absent(format!("there is no entry in the collection {name:?}"))),
    }
}

fn show(env: &mut Env<'_>, args: &Pop, entry: &Entry) -> Result<(), Failure> {
    let mut listing = Listing::new(env.out, args.json, args.encoding.encoding());
    listing.entry(&entry.key, &entry.value)?;
    listing.end()?;
    env.out.flush().map_err(Failure::Output)
}
