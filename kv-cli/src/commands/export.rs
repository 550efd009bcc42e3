//! export: every entry of a collection, as a row.

use std::ffi::OsString;

use kv_store::Snapshot;

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
    let view = opening::view(env)?;
    let name = opening::existing_collection(&view, &args.collection)?;
    if args.format != Format::Jsonl {
        // A first pass checks all entries, so that nothing is printed if one of them cannot be.
        must_carry(&view, name, args.format, env.is_terminal)?;
    }
    for entry in view.iter(name) {
        let entry = entry.doing(|| cannot_export(name))?;
        args.format.write_row(env.out, &entry.key, &entry.value).map_err(Failure::Output)?;
    }
    Ok(())
}

fn must_carry(view: &Snapshot, name: &str, format: Format, is_terminal: bool) -> Result<(), Failure> {
    for entry in view.iter(name) {
        let entry = entry.doing(|| cannot_export(name))?;
        let is_text = is_text(&entry.key) && is_text(&entry.value);
        let of_terminal = (is_terminal && !is_text).then_some("what is not text would control the terminal");
        if let Some(objection) = format.objection(&entry.key, &entry.value).or(of_terminal) {
            let key = escaped(&entry.key);
            let what = cannot_export(name);
            let text = format!("{what}: {objection}, as in the entry \"{key}\"; jsonl carries everything");
            return Err(Failure::Refused(text));
        }
    }
    Ok(())
}

fn cannot_export(name: &str) -> String {
    format!("cannot export {name:?}")
}
