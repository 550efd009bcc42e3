//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::format::Format;

const DIR_DEFAULT: &str = "kv-data";
const DEMO_DIR_DEFAULT: &str = "kv-demo";

// The texts are wrapped by hand at 80 columns, so that their tables stay tables.

const EXAMPLES: &str = "\
Examples:
  kv put fruit apple green             store a value
  kv put fruit pear - < pear.txt       … from stdin, byte for byte
  kv get fruit apple                   print it, and nothing else
  kv list                              collections and how many keys they have
  kv list fruit --prefix a --limit 10  keys, in byte order
  kv import words words.tsv            one entry a row, from tsv, csv or jsonl
  kv export words > words.jsonl        everything back out, exactly
  kv demo                              see it work, and survive being killed

Exit codes:
  0  done
  1  key, collection or store absent
  2  usage
  3  input refused: a collection name, key, value or row
  4  locked by another process
  5  damaged data
  6  I/O error, or written by another version

Data goes to stdout, everything else to stderr. A write that ended with exit
code 0 survives a power cut.";

const IMPORT_HELP: &str = "\
Formats (the extension .tsv, .csv, .jsonl or .ndjson chooses; otherwise tsv):
  tsv    The key up to the first tab, the rest of the line the value, byte for
         byte. Lines end with \\n alone: the \\r of a \\r\\n belongs to the value
         (`tr -d '\\r'` removes it).
  csv    Exactly two fields, as in RFC 4180, in UTF-8, no header: key, value.
  jsonl  One object a line: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or
         \"value_base64\" instead for bytes that are not UTF-8.

With --key FIELD:
  csv    The first row names the fields. The field is the key, the whole row, as
         a JSON object of strings, the value.
  jsonl  Any objects. The field (a string, or the JSON text of a number or
         boolean) is the key, the line the value.

A key that is there already gets the new value. Of several rows with the same
key the last counts.

Rows are committed in batches of 1,000 rows or 4 MiB, each whole or not at all.
A row that cannot be imported ends the import with exit code 3 and the row's
line number. Then the batches before it stay imported; the row's own batch and
what follows are not. The message names the first line that is not imported.
Importing the whole file again, once it is corrected, does no harm.";

const EXPORT_HELP: &str = "\
  jsonl  Carries everything: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or
         \"value_base64\" instead for bytes that are not UTF-8.
  tsv    Cannot carry a tab in a key, nor a line feed.
  csv    Cannot carry bytes that are not UTF-8.

A collection with an entry that the format cannot carry is refused with exit
code 3, and nothing is printed. What is exported and imported again in the same
format is the same, byte for byte.";

const LIST_HELP: &str = "\
Without COLLECTION: a line for each collection, its name, a tab and its number
of keys. With COLLECTION: a line for each key.

Names and keys are printed as they are, but for the backslash, line feed,
carriage return and tab (\\\\, \\n, \\r, \\t), other control characters, and bytes
that are not UTF-8 (\\x and two hexadecimal digits for each byte).

--json is exact. It prints an array of {\"name\":…,\"entries\":…,\"bytes\":…} or of
{\"key\":…}, with \"key_base64\" instead for a key that is not UTF-8.";

/// A durable key-value store in a directory.
#[derive(Debug, Parser)]
#[command(name = "kv", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 80)]
pub struct Cli {
    /// The directory of the store; otherwise the environment variable KV_DIR, otherwise ./kv-data
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The directory to work in. The demo has its own, so that it never runs in a store of the user's by accident.
    pub fn directory(&self) -> PathBuf {
        let from_environment = || std::env::var_os("KV_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        match (&self.dir, &self.command) {
            (Some(dir), _) => dir.clone(),
            (None, Command::Demo) => DEMO_DIR_DEFAULT.into(),
            (None, _) => from_environment().unwrap_or_else(|| DIR_DEFAULT.into()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a value under a key, creating collection and store as needed
    Put(Put),
    /// Print the value of a key: its bytes and nothing else
    Get(Key),
    /// Delete a key; exit code 1 if it is not there
    Delete(Key),
    /// List collections with their entry counts, or the keys of one, in byte order
    #[command(after_long_help = LIST_HELP)]
    List(List),
    /// Import a file, one entry a row
    #[command(after_long_help = IMPORT_HELP)]
    Import(Import),
    /// Print all entries of a collection, in byte order of their keys
    #[command(after_long_help = EXPORT_HELP)]
    Export(Export),
    /// Write a checkpoint, so that the log can be cut and opening stays fast
    Checkpoint,
    /// Check every file of the store, changing nothing; exit code 5 if something is damaged
    Verify(Verify),
    /// Print what the store holds and how large it is
    Stats(Stats),
    /// Show the store at work on real data: import, overwrite, be killed, recover, checkpoint
    ///
    /// Works in ./kv-demo unless --dir says otherwise (KV_DIR does not count here), and leaves the store there to try things on.
    Demo,
    /// The part of the demo that gets killed
    #[command(hide = true)]
    DemoWriter(DemoWriter),
}

#[derive(Debug, Args)]
pub struct Put {
    /// The collection
    pub collection: OsString,
    /// The key: any bytes, 1 to 65,535 of them
    #[arg(allow_negative_numbers = true)]
    pub key: OsString,
    /// The value: any bytes, up to 64 MiB; `-`, or nothing unless on a terminal, reads it from stdin, byte for byte.
    /// Put `--` before the collection if a value begins with a hyphen
    #[arg(allow_negative_numbers = true)]
    pub value: Option<OsString>,
}

#[derive(Debug, Args)]
pub struct Key {
    /// The collection
    pub collection: OsString,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub key: OsString,
}

#[derive(Debug, Args)]
pub struct List {
    /// The collection whose keys to list; none lists the collections
    pub collection: Option<OsString>,
    /// Only what begins with these bytes
    #[arg(long, value_name = "P")]
    pub prefix: Option<OsString>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Print a JSON array, exact for any bytes
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The collection to import into
    pub collection: OsString,
    /// The file to import; `-` reads stdin
    pub file: PathBuf,
    /// The format; otherwise the file's extension says it, otherwise tsv
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The field that is the key; the value is the whole row as JSON (csv with a header, or jsonl)
    #[arg(long, value_name = "FIELD")]
    pub key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The collection to export
    pub collection: OsString,
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// If nothing is damaged, forget that damage was met before, which keeps checkpoints off
    #[arg(long)]
    pub clear: bool,
}

#[derive(Debug, Args)]
pub struct Stats {
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DemoWriter {
    /// The collection to write to
    pub collection: String,
    /// What the keys begin with
    pub prefix: String,
}
