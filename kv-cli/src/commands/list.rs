//! list, scan and count: collections, keys and entries, in byte order.

use std::ffi::OsString;

use kv_store::{Entry, Snapshot, Transaction};

use crate::{
    encoding::{Encoding, EncodingArgs},
    env::Env,
    failure::{Context, Failure},
    keys::{Range, RangeArgs},
    listing::Listing,
    opening,
};

pub const LIST_HELP: &str = "\
Without COLLECTION: a line for each collection, with its name, a tab and its
number of keys. With COLLECTION: a line for each key.

In names and keys, a backslash, line feed, carriage return or tab is printed as
\\\\, \\n, \\r or \\t, and each byte of other control characters and of what is not
UTF-8 as \\x and two hexadecimal digits. Everything else is printed as it is.
--escaped lets other commands take a key as it is printed here.

--json is exact. It prints an array of {\"name\":…,\"entries\":…,\"bytes\":…} or of
{\"key\":…}, with \"key_base64\" instead for a key that is not UTF-8.";

pub const SCAN_HELP: &str = "\
A line for each entry: the key, a tab, the value. Both are escaped as by `kv
list`, or encoded with --hex or --base64, so the output is exact.

--json prints an array of {\"key\":…,\"value\":…}, with \"key_base64\" or
\"value_base64\" instead for bytes that are not UTF-8.";

#[derive(Debug, clap::Args)]
pub struct List {
    /// The collection whose keys to list; if absent, the collections are listed
    collection: Option<OsString>,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, clap::Args)]
pub struct Scan {
    /// The collection
    collection: OsString,
    #[command(flatten)]
    shown: Shown,
}

/// What is printed of a collection, and how.
#[derive(Debug, clap::Args)]
struct Shown {
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    order: OrderArgs,
    /// Print a JSON array, exact for any bytes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoding: EncodingArgs,
}

#[derive(Debug, clap::Args)]
pub struct Count {
    /// The collection
    collection: OsString,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    encoding: EncodingArgs,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct OrderArgs {
    /// Begin with the last one
    #[arg(long)]
    reverse: bool,
    /// At most N
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
}

impl OrderArgs {
    /// At most as many as were asked for, in the order that was asked for.
    fn of<'a, T>(self, all: impl DoubleEndedIterator<Item = T> + 'a) -> Box<dyn Iterator<Item = T> + 'a> {
        if self.reverse { Box::new(all.rev().take(self.limit)) } else { Box::new(all.take(self.limit)) }
    }
}

pub fn list(env: &mut Env<'_>, List { collection, shown }: &List) -> Result<(), Failure> {
    let Some(name) = collection else {
        let encoding = shown.encoding.encoding();
        // Names are text.
        let range = shown.range.range(if encoding == Encoding::Escaped { encoding } else { Encoding::Plain })?;
        let view = opening::view(env)?;
        return collections(&view, &range, shown.order, Listing::new(env.out, shown.json, encoding));
    };
    opening::name_of(name)?;
    let range = shown.range()?;
    let view = opening::view(env)?;
    let name = opening::existing_collection(&view, name)?;
    shown.print(env, name, view.range::<&[u8]>(name, range.bounds()), key_line)
}

impl Shown {
    fn range(&self) -> Result<Range, Failure> {
        self.range.range(self.encoding.encoding())
    }

    /// Prints those of the entries that were asked for, each with `line`.
    fn print(
        &self,
        env: &mut Env<'_>,
        name: &str,
        entries: impl DoubleEndedIterator<Item = Found>,
        line: impl Fn(&mut Listing<'_>, &Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut listing = Listing::new(env.out, self.json, self.encoding.encoding());
        each(name, self.order.of(entries), |entry| line(&mut listing, entry))?;
        listing.end()
    }
}

fn key_line(listing: &mut Listing<'_>, entry: &Entry) -> Result<(), Failure> {
    listing.key(&entry.key)
}

fn entry_line(listing: &mut Listing<'_>, entry: &Entry) -> Result<(), Failure> {
    listing.entry(&entry.key, &entry.value)
}

fn collections(view: &Snapshot, range: &Range, order: OrderArgs, mut listing: Listing<'_>) -> Result<(), Failure> {
    let all = view.collections().doing(|| "cannot list the collections".into())?;
    let chosen =
        all.iter().filter(|info| std::ops::RangeBounds::<[u8]>::contains(&range.bounds(), info.name.as_bytes()));
    order.of(chosen).try_for_each(|info| listing.collection(info))?;
    listing.end()
}

pub fn scan(env: &mut Env<'_>, Scan { collection, shown }: &Scan) -> Result<(), Failure> {
    opening::name_of(collection)?;
    let range = shown.range()?;
    let view = opening::view(env)?;
    let name = opening::existing_collection(&view, collection)?;
    shown.print(env, name, view.range::<&[u8]>(name, range.bounds()), entry_line)
}

pub fn count(env: &mut Env<'_>, args: &Count) -> Result<(), Failure> {
    opening::name_of(&args.collection)?;
    let range = args.range.range(args.encoding.encoding())?;
    let view = opening::view(env)?;
    let name = opening::existing_collection(&view, &args.collection)?;
    let count = match args.range.is_empty() {
        true => view.len(name).doing(|| cannot_read(name))?,
        false => counted(name, view.range::<&[u8]>(name, range.bounds()))?,
    };
    env.print(count)
}

pub fn list_within(env: &mut Env<'_>, tx: &Transaction<'_>, List { collection, shown }: &List) -> Result<(), Failure> {
    let Some(name) = collection else {
        return Err(Failure::Usage("a transaction lists the keys of a collection: name one".into()));
    };
    let name = opening::name_of(name)?;
    let range = shown.range()?;
    shown.print(env, name, tx.range::<&[u8]>(name, range.bounds()), key_line)
}

pub fn scan_within(env: &mut Env<'_>, tx: &Transaction<'_>, Scan { collection, shown }: &Scan) -> Result<(), Failure> {
    let name = opening::name_of(collection)?;
    let range = shown.range()?;
    shown.print(env, name, tx.range::<&[u8]>(name, range.bounds()), entry_line)
}

pub fn count_within(env: &mut Env<'_>, tx: &Transaction<'_>, args: &Count) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let range = args.range.range(args.encoding.encoding())?;
    env.print(counted(name, tx.range::<&[u8]>(name, range.bounds()))?)
}

type Found = kv_store::Result<Entry>;

fn counted(name: &str, entries: impl Iterator<Item = Found>) -> Result<u64, Failure> {
    let mut count = 0;
    each(name, entries, |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

fn each(
    name: &str,
    entries: impl Iterator<Item = Found>,
    mut show: impl FnMut(&Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for entry in entries {
        show(&entry.doing(|| cannot_read(name))?)?;
    }
    Ok(())
}

fn cannot_read(name: &str) -> String {
    format!("cannot read the entries of {name:?}")
}
