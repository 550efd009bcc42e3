//! get: prints the value of a key, or of several.

use std::ffi::OsString;

use kv_store::{Transaction, Value};

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

impl Get {
    /// The collection and the keys.
    fn parts(&self) -> Result<(&str, Vec<Vec<u8>>), Failure> {
        let name = opening::name_of(&self.collection)?;
        Ok((name, self.encoding.encoding().keys(&self.keys)?))
    }

    /// Prints what was found. Returns the keys that are absent.
    fn show<'k>(
        &self,
        env: &mut Env<'_>,
        keys: &'k [Vec<u8>],
        values: &[Option<Value>],
    ) -> Result<Vec<&'k [u8]>, Failure> {
        let encoding = self.encoding.encoding();
        if let ([_], [Some(value)], false) = (keys, values, self.json) {
            return show_alone(env, encoding, value).map(|()| Vec::new());
        }
        let found = keys.iter().zip(values).filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let absent = keys.iter().zip(values).filter(|(_, value)| value.is_none()).map(|(key, _)| &**key);
        if keys.len() > 1 || self.json {
            let mut listing = Listing::new(env.out, self.json, encoding);
            found.clone().try_for_each(|(key, value)| listing.entry(key, value))?;
            listing.end()?;
        }
        Ok(absent.collect())
    }
}

pub fn run(env: &mut Env<'_>, args: &Get) -> Result<(), Failure> {
    let (name, keys) = args.parts()?;
    let view = opening::view(env)?;
    let values = view.get_many(name, &keys).doing(|| cannot_get(name, &keys))?;
    if values.iter().all(Option::is_none) && !opening::exists(&view, name)? {
        return Err(opening::absent_collection(&view, name));
    }
    match &*args.show(env, &keys, &values)? {
        [key] if keys.len() == 1 => Err(opening::absent_key(&view, name, key)),
        absent => absent_keys(name, absent),
    }
}

pub fn within(env: &mut Env<'_>, tx: &Transaction<'_>, args: &Get) -> Result<(), Failure> {
    let (name, keys) = args.parts()?;
    let values = tx.get_many(name, &keys).doing(|| cannot_get(name, &keys))?;
    absent_keys(name, &args.show(env, &keys, &values)?)
}

fn cannot_get(name: &str, keys: &[Vec<u8>]) -> String {
    match keys {
        [key] => format!("cannot get the key \"{}\" of {name:?}", escaped(key)),
        _ => format!("cannot get keys of {name:?}"),
    }
}

/// Prints a value and nothing else, as it suits a terminal or a pipe.
fn show_alone(env: &mut Env<'_>, encoding: Encoding, value: &[u8]) -> Result<(), Failure> {
    if encoding == Encoding::Plain && (!env.is_terminal || is_text(value)) {
        env.out.write_all(value).map_err(Failure::Output)?;
        let needs_line_feed = env.is_terminal && value.last() != Some(&b'\n');
        return if needs_line_feed { env.print("") } else { Ok(()) };
    }
    encoding.write(env.out, value).map_err(Failure::Output)?;
    env.print("")?;
    if encoding == Encoding::Plain {
        env.out.flush().map_err(Failure::Output)?;
        env.teller.note(format_args!("the value is not text, so it is escaped here; a pipe or file gets its bytes"));
    }
    Ok(())
}

/// Fails if a key was absent, and names the first few.
pub fn absent_keys(name: &str, absent: &[&[u8]]) -> Result<(), Failure> {
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
    let text = format!("there {are_no_keys} {}{more} in the collection {name:?}", named.join(", "));
    Err(Failure::Absent(text))
}
