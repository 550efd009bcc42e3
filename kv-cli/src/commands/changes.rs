//! changes: what the log has recorded.

use std::io::{self, Write};

use kv_store::{ChangeFeed, ChangeRecord, Error, Lsn, RecordedChange, Store};

use crate::{
    encoding::{Encoding, EncodingArgs},
    env::Env,
    failure::{Context, Failure},
    format::{write_member, write_text},
    opening,
};

pub const HELP: &str = "\
A line for each change, in the order in which they were made: the position, what
was done (put, delete, create, drop or rename), the collection, and then the key
and the value, or the new name, with tabs between. Keys and values are escaped
as by `kv list`, or encoded with --hex or --base64. Changes with the same
position were made in one step.

--json prints an object per line:
  {\"position\":7,\"change\":\"put\",\"collection\":\"c\",\"key\":\"k\",\"value\":\"v\"}
with \"key_base64\" or \"value_base64\" instead for bytes that are not UTF-8, and
\"name\" for the new name of a collection.

The log keeps changes until checkpoints have taken them. Without --after the
changes begin with the oldest that it has. To go on later, give the last
position that was printed; if the log no longer has what follows it, the exit
code is 1.";

#[derive(Debug, clap::Args)]
pub struct Changes {
    /// Only what was changed after this position
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// At most N positions
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Print a JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoding: EncodingArgs,
}

pub fn run(env: &mut Env<'_>, args: &Changes) -> Result<(), Failure> {
    let store = opening::existing(env)?;
    let feed = feed(env, &store, args.after)?;
    for record in feed.take(args.limit) {
        let record = record.doing(|| "cannot read the changes".into())?;
        print(env.out, &record, args).map_err(Failure::Output)?;
    }
    Ok(())
}

fn feed(env: &Env<'_>, store: &Store, after: Option<u64>) -> Result<ChangeFeed, Failure> {
    let what = || "cannot read the changes".to_owned();
    match store.changes(Lsn(after.unwrap_or(0))) {
        Err(Error::Trimmed { trimmed, .. }) if after.is_none() => {
            env.teller.note(format_args!("changes up to position {trimmed} are no longer in the log"));
            store.changes(trimmed).doing(what)
        }
        Err(Error::Trimmed { after, trimmed }) => Err(Failure::Absent(format!(
            "the log no longer has all changes after position {after}, only those after {trimmed}; begin again with `kv dump` or `kv scan`, whose position `kv stats` shows"
        ))),
        Err(Error::Misuse(_)) => Err(Failure::Absent(format!(
            "there is no position {} yet: the last one is {}",
            after.unwrap_or(0),
            store.stats().published
        ))),
        feed => feed.doing(what),
    }
}

fn print(out: &mut dyn Write, record: &ChangeRecord, args: &Changes) -> io::Result<()> {
    let encoding = args.encoding.encoding();
    for change in &record.changes {
        let line = Line::of(change);
        if args.json { line.json(out, record.lsn)? } else { line.text(out, record.lsn, encoding)? }
    }
    Ok(())
}

/// A change, as it is printed.
struct Line<'a> {
    change: &'static str,
    collection: &'a str,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    name: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(change: &'a RecordedChange) -> Self {
        let of_collection = |change, collection| Line { change, collection, key: None, value: None, name: None };
        match change {
            RecordedChange::Put { collection, key, value } => {
                Line { key: Some(key), value: Some(value), ..of_collection("put", collection) }
            }
            RecordedChange::Delete { collection, key } => {
                Line { key: Some(key), ..of_collection("delete", collection) }
            }
            RecordedChange::CollectionCreated { name } => of_collection("create", name),
            RecordedChange::CollectionDropped { name } => of_collection("drop", name),
            RecordedChange::CollectionRenamed { from, to } => Line { name: Some(to), ..of_collection("rename", from) },
            // The enum can grow.
            _ => of_collection("unknown", ""),
        }
    }

    fn text(&self, out: &mut dyn Write, position: Lsn, encoding: Encoding) -> io::Result<()> {
        write!(out, "{position}\t{}\t", self.change)?;
        Encoding::Plain.write(out, self.collection.as_bytes())?;
        for bytes in [self.key, self.value].into_iter().flatten() {
            write!(out, "\t")?;
            encoding.write(out, bytes)?;
        }
        if let Some(name) = self.name {
            write!(out, "\t")?;
            Encoding::Plain.write(out, name.as_bytes())?;
        }
        writeln!(out)
    }

    fn json(&self, out: &mut dyn Write, position: Lsn) -> io::Result<()> {
        write!(out, "{{\"position\":{position},\"change\":\"{}\",\"collection\":", self.change)?;
        write_text(out, self.collection)?;
        for (name, bytes) in [("key", self.key), ("value", self.value)] {
            if let Some(bytes) = bytes {
                write!(out, ",")?;
                write_member(out, name, bytes)?;
            }
        }
        if let Some(name) = self.name {
            write!(out, ",\"name\":")?;
            write_text(out, name)?;
        }
        writeln!(out, "}}")
    }
}
