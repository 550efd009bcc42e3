//! export: every entry of a collection, as a row.

use std::ffi::OsString;

use kv_store::Collection;

use crate::{
    env::Env,
    failure::{Context, Failure},
    format::Format,
    opening,
    output::{escaped, is_text},
};

pub const HELP: &str = "\
What each format can carry:
  jsonl  Everything: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or
         \"value_base64\" instead for bytes that are not UTF-8.
  tsv    No tab in a key, and no line feed.
  csv    Only UTF-8.

If the format cannot carry an entry, nothing is printed, and the exit code is 3.
The same is true for tsv and csv with control characters on a terminal.
What is exported and imported again in the same format stays the same, byte for
byte.";

#[derive(Debug, clap::Args)]
pub struct Export {
    /// The collection to export
    collection: OsString,
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
}

pub fn run(env: &mut Env<'_>, args: &Export) -> Result<(), Failure> {
    opening::name_of(&args.collection)?;
    let store = opening::existing(env)?;
    let collection = opening::existing_collection(&store, &args.collection)?;
    if args.format != Format::Jsonl {
        // A first pass checks all entries, so that nothing is printed if one of them cannot be.
        // Nothing changes between the passes, because the store is locked.
        must_carry(&collection, args.format, env.is_terminal)?;
    }
    let what = || format!("cannot export {:?}", collection.name());
    for entry in collection.iter() {
        let entry = entry.doing(what)?;
        args.format.write_row(env.out, &entry.key, &entry.value).map_err(Failure::Output)?;
    }
    Ok(())
}

fn must_carry(collection: &Collection, format: Format, is_terminal: bool) -> Result<(), Failure> {
    let what = || format!("cannot export {:?}", collection.name());
    for entry in collection.iter() {
        let entry = entry.doing(what)?;
        let is_text = is_text(&entry.key) && is_text(&entry.value);
        let of_terminal = (is_terminal && !is_text).then_some("what is not text would control the terminal");
        if let Some(objection) = format.objection(&entry.key, &entry.value).or(of_terminal) {
            let key = escaped(&entry.key);
            let text = format!("{}: {objection}, as in the entry \"{key}\"; jsonl carries everything", what());
            return Err(Failure::Refused(text));
        }
    }
    Ok(())
}
