//! dump and load: a whole store as one stream of text.
//!
//! ```text
//! {"kv_dump":1,"position":7}                  what it is, and of which position
//! {"collection":"fruit","entries":2}          each collection, before any entry
//! {"entries_of":"fruit"}                      the collection of the entries that follow
//! {"key":"apple","value":"green"}             an entry, as in jsonl
//! {"key":"pear","value_base64":"/w=="}
//! {"end":true,"collections":1,"entries":2}    the dump is complete
//! ```

use std::{collections::BTreeSet, ffi::OsString, io::Write};

use kv_store::CollectionInfo;

use crate::{
    env::Env,
    failure::{Context, Failure},
    format::{write_member, write_text},
    opening,
    output::{counted, counted_entries},
};

pub const HELP: &str = "\
The dump is a JSON object per line, exact for any bytes, in UTF-8. Its last line
says that it is complete. `kv load` reads it, and also one of another version of
kv whose dumps have the same number.

It is taken of one position. Compress it with a pipe:
  kv dump | zstd > store.dump.zst
  zstd -dc store.dump.zst | kv --dir copy load -";

/// The number of this format of dumps.
pub const FORMAT: u32 = 1;

#[derive(Debug, clap::Args)]
pub struct Dump {
    /// Only these collections [default: all]
    #[arg(value_name = "COLLECTION")]
    collections: Vec<OsString>,
}

pub fn run(env: &mut Env<'_>, args: &Dump) -> Result<(), Failure> {
    let names = args.collections.iter().map(|name| opening::name_of(name));
    let names = names.collect::<Result<BTreeSet<&str>, _>>()?;
    let snapshot = opening::view(env)?;
    let mut infos = snapshot.collections().doing(|| "cannot list the collections".into())?;
    if let Some(absent) = names.iter().find(|name| !infos.iter().any(|info| info.name == **name)) {
        return Err(opening::absent_collection(&snapshot, absent));
    }
    infos.retain(|info| names.is_empty() || names.contains(&*info.name));

    let out = &mut *env.out;
    head(out, snapshot.position().0, &infos).map_err(Failure::Output)?;
    let mut entries = 0;
    for info in &infos {
        marker(out, &info.name).map_err(Failure::Output)?;
        for entry in snapshot.iter(&info.name) {
            let entry = entry.doing(|| format!("cannot read the entries of {:?}", info.name))?;
            row(out, &entry.key, &entry.value).map_err(Failure::Output)?;
            entries += 1;
        }
    }
    let collections = infos.len() as u64;
    writeln!(out, "{{\"end\":true,\"collections\":{collections},\"entries\":{entries}}}").map_err(Failure::Output)?;
    out.flush().map_err(Failure::Output)?;
    let (collections, entries) = (counted(collections, "collection"), counted_entries(entries));
    env.teller.report(format_args!("dumped {entries} of {collections}"));
    Ok(())
}

fn head(out: &mut dyn Write, position: u64, infos: &[CollectionInfo]) -> std::io::Result<()> {
    writeln!(out, "{{\"kv_dump\":{FORMAT},\"position\":{position}}}")?;
    for info in infos {
        write!(out, "{{\"collection\":")?;
        write_text(out, &info.name)?;
        writeln!(out, ",\"entries\":{}}}", info.entries)?;
    }
    Ok(())
}

fn marker(out: &mut dyn Write, name: &str) -> std::io::Result<()> {
    write!(out, "{{\"entries_of\":")?;
    write_text(out, name)?;
    writeln!(out, "}}")
}

fn row(out: &mut dyn Write, key: &[u8], value: &[u8]) -> std::io::Result<()> {
    write!(out, "{{")?;
    write_member(out, "key", key)?;
    write!(out, ",")?;
    write_member(out, "value", value)?;
    writeln!(out, "}}")
}
