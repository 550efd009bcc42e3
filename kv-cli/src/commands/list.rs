//! list: the collections, or the keys of one.

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::Path,
};

use kv_store::{CollectionInfo, Store};

use super::bytes;
use crate::{
    cli::List,
    failure::{Context, Failure},
    format::{write_member, write_text},
    opening,
    output::write_escaped,
};

pub fn run(dir: &Path, args: &List, out: &mut dyn Write) -> Result<(), Failure> {
    let store = opening::existing(dir)?;
    let prefix = args.prefix.as_deref().map_or(&b""[..], bytes);
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut listing = Listing { out, json: args.json, items: 0 };
    match &args.collection {
        Some(name) => keys(&store, name, prefix, limit, &mut listing)?,
        None => collections(&store, prefix, limit, &mut listing)?,
    }
    listing.end().map_err(Failure::Output)
}

fn collections(store: &Store, prefix: &[u8], limit: usize, listing: &mut Listing<'_>) -> Result<(), Failure> {
    let all = store.collections().doing(|| "cannot list the collections".into())?;
    let mut chosen = all.iter().filter(|info| info.name.as_bytes().starts_with(prefix)).take(limit);
    chosen.try_for_each(|info| listing.collection(info)).map_err(Failure::Output)
}

fn keys(store: &Store, name: &OsStr, prefix: &[u8], limit: usize, listing: &mut Listing<'_>) -> Result<(), Failure> {
    let collection = opening::existing_collection(store, name)?;
    let what = || format!("cannot list the keys of {:?}", collection.name());
    for entry in collection.prefix(prefix).take(limit) {
        listing.key(&entry.doing(what)?.key).map_err(Failure::Output)?;
    }
    Ok(())
}

/// One item per line, or a JSON array with one item per line.
struct Listing<'a> {
    out: &'a mut dyn Write,
    json: bool,
    items: u64,
}

impl Listing<'_> {
    fn collection(&mut self, info: &CollectionInfo) -> io::Result<()> {
        if !self.json {
            write_escaped(self.out, info.name.as_bytes())?;
            return writeln!(self.out, "\t{}", info.entries);
        }
        self.separate()?;
        write!(self.out, "{{\"name\":")?;
        write_text(self.out, &info.name)?;
        write!(self.out, ",\"entries\":{},\"bytes\":{}}}", info.entries, info.bytes)
    }

    fn key(&mut self, key: &[u8]) -> io::Result<()> {
        if !self.json {
            write_escaped(self.out, key)?;
            return writeln!(self.out);
        }
        self.separate()?;
        write!(self.out, "{{")?;
        write_member(self.out, "key", key)?;
        write!(self.out, "}}")
    }

    fn separate(&mut self) -> io::Result<()> {
        self.items += 1;
        write!(self.out, "{}", if self.items == 1 { "[\n" } else { ",\n" })
    }

    fn end(self) -> io::Result<()> {
        match (self.json, self.items) {
            (false, _) => Ok(()),
            (true, 0) => writeln!(self.out, "[]"),
            (true, _) => writeln!(self.out, "\n]"),
        }
    }
}
