//! export: every entry of a collection, as a row.

use std::{io::Write, path::Path};

use kv_store::Collection;

use crate::{
    cli::Export,
    failure::{Context, Failure},
    format::Format,
    opening,
    output::escaped,
};

pub fn run(dir: &Path, args: &Export, out: &mut dyn Write) -> Result<(), Failure> {
    let store = opening::existing(dir)?;
    let collection = opening::existing_collection(&store, &args.collection)?;
    if args.format != Format::Jsonl {
        // A first pass checks all entries, so that nothing is printed if one of them cannot be.
        // Nothing changes between the passes, because the store is locked.
        must_carry(&collection, args.format)?;
    }
    let what = || format!("cannot export {:?}", collection.name());
    for entry in collection.iter() {
        let entry = entry.doing(what)?;
        args.format.write_row(out, &entry.key, &entry.value).map_err(Failure::Output)?;
    }
    Ok(())
}

fn must_carry(collection: &Collection, format: Format) -> Result<(), Failure> {
    let what = || format!("cannot export {:?}", collection.name());
    for entry in collection.iter() {
        let entry = entry.doing(what)?;
        if let Some(objection) = format.objection(&entry.key, &entry.value) {
            let key = escaped(&entry.key);
            let text = format!("{}: {objection}, as in the entry \"{key}\"; jsonl carries everything", what());
            return Err(Failure::Refused(text));
        }
    }
    Ok(())
}
