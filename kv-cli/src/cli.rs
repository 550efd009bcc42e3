//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::format::Format;

const DIR_DEFAULT: &str = "kv-data";
const DEMO_DIR_DEFAULT: &str = "kv-demo";

// These texts are wrapped by hand at 80 columns, so that their tables stay tables.

const EXAMPLES: &str = "\
Examples:
  kv put fruit apple green             store a value
  kv put fruit pear - < pear.txt       store what stdin holds, byte for byte
  kv get fruit apple                   print the value, and nothing else
  kv list                              list collections and their key counts
  kv list fruit --prefix a --limit 10  list keys, in byte order
  kv import words words.tsv            one entry per row: tsv, csv or jsonl
  kv export words > words.jsonl        print every entry, exactly
  kv demo                              see a store survive a killed process

Exit codes:
  0  success
  1  not found: a key, a collection or the store
  2  wrong usage
  3  input refused: a collection name, key, value or row
  4  locked by another process
  5  damaged data
  6  I/O error, or data of another version

Data goes to stdout, everything else to stderr. A write that ended with exit
code 0 survives a power cut.";

const IMPORT_HELP: &str = "\
Formats. The extension .tsv, .csv, .jsonl or .ndjson selects one; a file with
another extension, and stdin, is read as tsv:
  tsv    The key is everything before the first tab, the value the rest of the
         line, byte for byte. Lines end with \\n alone: the \\r of a \\r\\n belongs
         to the value (`tr -d '\\r'` removes it).
  csv    Exactly two fields, as in RFC 4180, in UTF-8, no header: key, value.
  jsonl  One object per line: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or
         \"value_base64\" instead for bytes that are not UTF-8.

With --key FIELD:
  csv    The first row names the fields. The key is the value of FIELD, the
         value is the whole row as a JSON object of strings.
  jsonl  Any objects. The key is the value of FIELD (a string, or the JSON text
         of a number or boolean), the value is the line.

A key that exists already gets the new value. If several rows have the same
key, the last one counts.

Rows are committed in batches of 1,000 rows or 4 MiB; each batch is imported
completely or not at all. A row that cannot be imported ends the import with
exit code 3 and the row's line number. The batches before it stay imported; its
own batch and all later rows do not, and the message names the first line that
is not imported. It is safe to correct the file and import all of it again.";

const EXPORT_HELP: &str = "\
What each format can carry:
  jsonl  Everything: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or
         \"value_base64\" instead for bytes that are not UTF-8.
  tsv    No tab in a key, and no line feed.
  csv    Only UTF-8.

If the format cannot carry an entry, nothing is printed, and the exit code is 3.
What is exported and imported again in the same format stays the same, byte for
byte.";

const LIST_HELP: &str = "\
Without COLLECTION: a line for each collection, with its name, a tab and its
number of keys. With COLLECTION: a line for each key.

In names and keys, a backslash, line feed, carriage return or tab is printed as
\\\\, \\n, \\r or \\t, and each byte of other control characters and of what is not
UTF-8 as \\x and two hexadecimal digits. Everything else is printed as it is.

--json is exact. It prints an array of {\"name\":…,\"entries\":…,\"bytes\":…} or of
{\"key\":…}, with \"key_base64\" instead for a key that is not UTF-8.";

const VERIFY_HELP: &str = "\
Nothing is changed, unless --clear is given. Damage that looks like the remains
of a crash is not reported: damage to log/MARK, to a tail of the log that was
never flushed, to the end of a closed log, and to the record in LOCK.

--deep also finds wrong data whose checksums are right. It compares, entry by
entry, what checkpoints hold with the log and with the parts that they were
merged from, as far as these are still there. It tells what it could not
compare. This reads everything several times.";

/// A durable key-value store in a directory.
#[derive(Debug, Parser)]
#[command(name = "kv", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 80)]
pub struct Cli {
    /// The directory of the store [default: $KV_DIR, or ./kv-data if that is not set; for demo
    /// ./kv-demo]
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The directory to work in. The demo has a default of its own, so that it never runs in one of
    /// the user's stores by accident.
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
    /// Store a value; a collection or store that is absent is created
    Put(Put),
    /// Print the value of a key: its bytes, and nothing else
    Get(Key),
    /// Delete a key; exit code 1 if it is absent
    Delete(Key),
    /// List the collections with their key counts, or the keys of one collection, in byte order
    #[command(after_long_help = LIST_HELP)]
    List(List),
    /// Import a file, one entry per row
    #[command(after_long_help = IMPORT_HELP)]
    Import(Import),
    /// Print all entries of a collection, in byte order of their keys
    #[command(after_long_help = EXPORT_HELP)]
    Export(Export),
    /// Write a checkpoint, so that the log can be trimmed and opening stays fast
    Checkpoint,
    /// Check the files of the store for damage; exit code 5 if any is found
    #[command(after_long_help = VERIFY_HELP)]
    Verify(Verify),
    /// Print how much the store holds, and how large its files are
    Stats(Stats),
    /// Show a store at work: import, overwrite, kill the process, recover, checkpoint
    ///
    /// Works in ./kv-demo, or in the directory that --dir names; KV_DIR is ignored. The store
    /// stays there, so that you can try things out.
    Demo,
    /// The process that the demo kills
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
    /// The value: any bytes, up to 64 MiB. `-` reads it from stdin, byte for byte; so does leaving
    /// it out, unless stdin is a terminal. Put `--` before the collection if a value begins with a
    /// hyphen
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
    /// The collection whose keys to list; if absent, the collections are listed
    pub collection: Option<OsString>,
    /// List only what begins with these bytes
    #[arg(long, value_name = "P")]
    pub prefix: Option<OsString>,
    /// List at most N
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
    /// The format [default: by the file's extension, or tsv]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The field that is the key; the value is the whole row as JSON. For csv with a header, and
    /// for jsonl
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
    /// If nothing is damaged any more, forget that a read met damage. Until then no old checkpoint
    /// is removed, and the log is not trimmed
    #[arg(long)]
    pub clear: bool,
    /// Also compare what checkpoints hold with the log, and with what they were merged from
    #[arg(long, conflicts_with = "clear")]
    pub deep: bool,
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
