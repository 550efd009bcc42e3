//! get: prints the value of a key, or of several.

use std::ffi::OsString;

use kv_store::{Collection, Store};

use crate::{
    encoding::{Encoding, EncodingArgs},
    env::Env,
    failure::{Context, Failure},
    listing::Listing,
    opening,
    output::{escaped, is_text},
};

pub const HELP: &str = "\
The value of one key is printed as it is, and nothing else. On a terminal, a
line feed follows it, and a value that is not text is escaped as by `kv list`.
With --hex, --base64 or --escaped a line feed always follows.

For several keys, and with --json, the output is that of `kv scan`. The keys are
read at one position. If one of them is absent, the others are printed, and the
exit code is 1.";

#[derive(Debug, clap::Args)]
pub struct Get {
    /// The collection
    collection: OsString,
    /// The keys
    #[arg(allow_negative_numbers = true, required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// Print a JSON array of keys and values
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoding: EncodingArgs,
}

pub fn run(env: &mut Env<'_>, args: &Get) -> Result<(), Failure> {
    let name = opening::name_of(&args.collection)?;
    let encoding = args.encoding.encoding();
    let decoded = args.keys.iter().map(|key| encoding.argument("key", key));
    let keys = decoded.collect::<Result<Vec<_>, _>>()?;
    keys.iter().try_for_each(|key| opening::check_key(key))?;
    let store = opening::existing(env)?;
    let collection = opening::collection(&store, name)?;
    match &keys[..] {
        [key] if !args.json => one(env, encoding, &store, &collection, key),
        keys => many(env, args.json, encoding, &store, &collection, keys),
    }
}

fn one(
    env: &mut Env<'_>,
    encoding: Encoding,
    store: &Store,
    collection: &Collection,
    key: &[u8],
) -> Result<(), Failure> {
    let what = || format!("cannot get the key \"{}\" of {:?}", escaped(key), collection.name());
    let Some(value) = collection.get(key).doing(what)? else {
        return Err(opening::absent_key(store, collection, key));
    };
    let is_shown_as_it_is = encoding == Encoding::Plain && (!env.is_terminal || is_text(&value));
    if is_shown_as_it_is {
        env.out.write_all(&value).map_err(Failure::Output)?;
        let needs_line_feed = env.is_terminal && value.last() != Some(&b'\n');
        return if needs_line_feed { env.print("") } else { Ok(()) };
    }
    encoding.write(env.out, &value).map_err(Failure::Output)?;
    env.print("")?;
    if encoding == Encoding::Plain {
        env.out.flush().map_err(Failure::Output)?;
        env.teller.note(format_args!("the value is not text, so it is escaped here; a pipe or file gets its bytes"));
    }
    Ok(())
}

fn many(
    env: &mut Env<'_>,
    json: bool,
    encoding: Encoding,
    store: &Store,
    collection: &Collection,
    keys: &[Vec<u8>],
) -> Result<(), Failure> {
    let values = collection.get_many(keys).doing(|| format!("cannot get the keys of {:?}", collection.name()))?;
    if values.iter().all(Option::is_none) && !opening::exists(store, collection.name())? {
        return Err(opening::absent_collection(store, collection.name()));
    }
    let mut listing = Listing::new(env.out, json, encoding);
    let mut absent = Vec::new();
    for (key, value) in keys.iter().zip(values) {
        match value {
            Some(value) => listing.entry(key, &value)?,
            None => absent.push(&**key),
        }
    }
    listing.end()?;
    absent_keys(collection, &absent)
}

/// Fails if a key was absent, and names the first few.
pub fn absent_keys(collection: &Collection, absent: &[&[u8]]) -> Result<(), Failure> {
    const NAMED_MAX: usize = 3;
    if absent.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = absent.iter().take(NAMED_MAX).map(|key| format!("\"{}\"", escaped(key))).collect();
    let more = match absent.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let are_no_keys = if absent.len() == 1 { "is no key" } else { "are no keys" };
    let text = format!("there {are_no_keys} {}{more} in the collection {:?}", named.join(", "), collection.name());
    Err(Failure::Absent(text))
}
