//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::format::Format;

const DIR_DEFAULT: &str = "kv-data";
const DEMO_DIR_DEFAULT: &str = "kv-demo";

const EXAMPLES: &str = "\
Examples:
  kv put fruit apple green             store a value
  kv put fruit pear - < pear.txt       … from stdin, byte for byte
  kv get fruit apple                   print it, and nothing else
  kv list                              collections and how many keys they have
  kv list fruit --prefix a --limit 10  keys, in byte order
  kv import words words.tsv            one entry a row, from tsv, csv or jsonl
  kv export words > words.jsonl        everything back out, exactly
  kv demo                              see it work on real data, and survive a kill

Exit codes:
  0 done   1 key, collection or store absent   2 usage   3 input refused (name, key, value, row)
  4 locked by another process   5 damaged data   6 I/O error, or written by a newer version

Data goes to stdout, everything else to stderr. What a command has acknowledged survives a power cut.";

const IMPORT_HELP: &str = "\
Formats (a file's extension .tsv, .csv, .jsonl or .ndjson chooses; otherwise tsv):
  tsv    The key up to the first tab, the rest of the line the value, byte for byte. Lines end with \\n alone: the \\r of a
         \\r\\n belongs to the value (`tr -d '\\r'` removes it).
  csv    Exactly two fields a row, as in RFC 4180, in UTF-8, no header: key, value.
  jsonl  One object a line: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or \"value_base64\" for bytes that are not UTF-8.

With --key FIELD:
  csv    The first row names the fields; the field is the key, and the whole row as a JSON object of strings the value.
  jsonl  Any objects; the field (a string, or the JSON text of a number or boolean) is the key, and the line the value.

A key that is there already gets the new value; of several rows with one key the last counts.

Rows are committed in batches of 1,000 or 4 MiB, each batch whole or not at all. A row that cannot be imported stops the
import with exit code 3 and its line number: the batches before it stay imported, its own batch and what follows are not. Correct
the row and import the file again, or from the line that the message names.";

const EXPORT_HELP: &str = "\
jsonl carries everything: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or \"value_base64\" for bytes that are not UTF-8. tsv cannot carry a
tab in a key or a line feed anywhere, csv only UTF-8: a collection with such an entry is refused with exit code 3, and nothing
is printed. What was exported and is imported again, in the same format, is the same, byte for byte.";

const LIST_HELP: &str = "\
Without COLLECTION: one collection a line, its name, a tab and how many keys it has. With COLLECTION: one key a line.

Names and keys are printed as they are but for a backslash (\\\\), line feed, carriage return and tab (\\n, \\r, \\t), and other control
characters and bytes that are not UTF-8 (\\x and two hexadecimal digits a byte). --json is exact: an array of {\"name\":…,\"entries\":…,\"bytes\":…}
or of {\"key\":…}, with \"key_base64\" for a key that is not UTF-8.";

/// A durable key-value store in a directory.
#[derive(Debug, Parser)]
#[command(name = "kv", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 120)]
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
    Verify,
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
#[command(after_long_help = LIST_HELP)]
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
