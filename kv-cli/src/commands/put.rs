//! put: stores a value.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read},
};

use kv_store::{Transaction, VALUE_BYTES_MAX};

use crate::{
    encoding::{Encoding, EncodingArgs},
    env::Env,
    failure::{Context, Failure},
    opening,
    output::escaped,
};

pub const HELP: &str = "\
A value that is a single hyphen is given as --escaped '\\x2d', or through stdin:
  printf %s - | kv put COLLECTION KEY -
If the collection, the key or the value begins with a hyphen, put `--` before
the collection.

Without --hex, --base64 or --escaped, arguments and stdin are taken byte for
byte. With one of them stdin is decoded, too.";

#[derive(Debug, clap::Args)]
pub struct Put {
    /// The collection; it is created if it is absent
    collection: OsString,
    /// The key: any bytes, 1 to 65,535 of them
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The value: any bytes, up to 64 MiB; `-` reads it from stdin
    #[arg(allow_negative_numbers = true, required = false)]
    value: Option<OsString>,
    #[command(flatten)]
    encoding: EncodingArgs,
}

impl Put {
    /// The collection, the key and the value. They are checked before a store is created, and read
    /// before a store is locked.
    fn parts(&self, env: &Env<'_>) -> Result<(&str, Vec<u8>, Vec<u8>), Failure> {
        let name = opening::name_of(&self.collection)?;
        let encoding = self.encoding.encoding();
        let key = encoding.argument("key", &self.key)?;
        opening::check_key(&key)?;
        Ok((name, key, value_of(env, self.value.as_deref(), encoding)?))
    }
}

pub fn run(env: &mut Env<'_>, args: &Put) -> Result<(), Failure> {
    let (name, key, value) = args.parts(env)?;
    let store = opening::or_new(env)?;
    let is_new = store
        .transact(|tx| {
            let is_new = tx.create_collection(name)?;
            tx.put(name, &key, &value)?;
            Ok(is_new)
        })
        .doing(|| cannot_put(name, &key))?;
    if is_new {
        opening::announce_collection(env, &store, name);
    }
    opening::close(env, &store);
    Ok(())
}

pub fn within(env: &Env<'_>, tx: &mut Transaction<'_>, args: &Put) -> Result<(), Failure> {
    let (name, key, value) = args.parts(env)?;
    tx.put(name, &key, &value).doing(|| cannot_put(name, &key))
}

fn cannot_put(name: &str, key: &[u8]) -> String {
    format!("cannot put the key \"{}\" into {name:?}", escaped(key))
}

fn value_of(env: &Env<'_>, argument: Option<&OsStr>, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    let value = match argument {
        Some(argument) if argument == "-" => {
            env.must_have_stdin()?;
            encoding.decode("value", &from_stdin(encoding)?)?
        }
        Some(argument) => encoding.argument("value", argument)?,
        None => {
            return Err(Failure::Usage("no value: give it after the key, or give `-` to read it from stdin".into()));
        }
    };
    if value.len() > VALUE_BYTES_MAX {
        return Err(too_long());
    }
    Ok(value)
}

fn from_stdin(encoding: Encoding) -> Result<Vec<u8>, Failure> {
    // One byte more than allowed is enough to see that a value is too long. A byte takes up to four
    // characters in an encoding, and a line feed may follow.
    let limit = match encoding {
        Encoding::Plain => VALUE_BYTES_MAX + 1,
        _ => 4 * VALUE_BYTES_MAX + 2,
    };
    let mut text = Vec::new();
    let read = io::stdin().lock().take(limit as u64).read_to_end(&mut text);
    read.doing(|| "cannot read the value from stdin".into())?;
    if text.len() == limit { Err(too_long()) } else { Ok(text) }
}

fn too_long() -> Failure {
    Failure::Refused(format!("the value is longer than {VALUE_BYTES_MAX} bytes, the longest that a value may be"))
}
