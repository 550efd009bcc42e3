//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{
        about, backup, bench, changes, collections, delete, dump, export, get, import, inspect, list, load, log,
        maintenance, pop, put, stats,
    },
    shell,
    teller::Color,
};

const DIR_DEFAULT: &str = "kv-data";
/// The heading of the options that every command has.
const GENERAL: &str = "General options";
const DEMO_DIR_DEFAULT: &str = "kv-demo";

// These texts are wrapped by hand at 80 columns, so that their tables stay tables.

const EXAMPLES: &str = "\
Examples:
  kv put fruit apple green             store a value
  kv put fruit pear - < pear.txt       store what stdin holds, byte for byte
  kv get fruit apple                   print the value, and nothing else
  kv list                              list collections and their key counts
  kv list fruit --prefix a --limit 10  list keys, in byte order
  kv scan fruit --from b --reverse     print keys and values
  kv import words words.tsv            one entry per row: tsv, csv or jsonl
  kv export words > words.jsonl        print every entry, exactly
  kv dump > store.dump                 print a whole store; `kv load` reads it
  kv backup /mnt/other/backups         copy it; what did not change is shared
  kv demo                              see a store survive a killed process

Exit codes:
  0  success
  1  not found: a key, a collection or the store
  2  wrong usage, or a question that was not answered with yes
  3  input refused: a collection name, key, value or row
  4  locked by another process
  5  damaged data
  6  I/O error, or data of another version

Data goes to stdout, everything else to stderr. A write that ended with exit
code 0 survives a power cut.";

/// A durable key-value store in a directory.
#[derive(Debug, Parser)]
#[command(name = "kv", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 80)]
pub struct Cli {
    /// The directory of the store [default: $KV_DIR, or ./kv-data if that is not set; for demo
    /// ./kv-demo]
    #[arg(long, global = true, value_name = "DIR", help_heading = GENERAL)]
    pub dir: Option<PathBuf>,

    /// Wait up to SECONDS for a process that has the store open; commands that only read need not
    #[arg(long, global = true, value_name = "SECONDS", default_value_t, hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(..=31_536_000), help_heading = GENERAL)]
    pub wait: u32,

    /// Print only data, errors and warnings
    #[arg(long, short, global = true, help_heading = GENERAL)]
    pub quiet: bool,

    /// Use colours: auto, always or never; NO_COLOR turns them off, too
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true,
        help_heading = GENERAL
    )]
    pub color: Color,

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
    /// Store a value
    #[command(after_help = put::HELP, alias = "set")]
    Put(put::Put),
    /// Print the value of a key, or several keys with their values
    #[command(after_help = get::HELP)]
    Get(get::Get),
    /// Delete keys, or a range of them; exit code 1 if a key is absent
    #[command(after_help = delete::HELP, aliases = ["del", "rm"])]
    Delete(delete::Delete),
    /// Take the entry with the lowest or highest key out of a collection
    #[command(after_help = pop::HELP)]
    Pop(pop::Pop),
    /// List the collections with their key counts, or the keys of one collection
    #[command(after_help = list::LIST_HELP, alias = "ls")]
    List(list::List),
    /// Print keys and values of a collection, in byte order of the keys
    #[command(after_help = list::SCAN_HELP)]
    Scan(list::Scan),
    /// Print how many entries there are
    Count(list::Count),
    /// Drop a collection with everything in it
    Drop(collections::Emptied),
    /// Delete all entries of a collection, in one step
    Clear(collections::Emptied),
    /// Rename a collection
    Rename(collections::Rename),
    /// Import a file, one entry per row
    #[command(after_help = import::HELP)]
    Import(import::Import),
    /// Print all entries of a collection, in a format that can be imported
    #[command(after_help = export::HELP)]
    Export(export::Export),
    /// Print a whole store, exactly, so that it can be loaded
    #[command(after_help = dump::HELP)]
    Dump(dump::Dump),
    /// Load a dump
    #[command(after_help = load::HELP)]
    Load(load::Load),
    /// Copy the store into a directory of backups, or list those
    #[command(after_help = backup::HELP)]
    Backup(backup::Backup),
    /// Make a new store from a backup
    #[command(after_help = backup::RESTORE_HELP)]
    Restore(backup::Restore),
    /// Print what was changed, in order, as far as the log goes back
    #[command(after_help = changes::HELP)]
    Changes(changes::Changes),
    /// Write a checkpoint, so that the log can be trimmed and opening stays fast
    Checkpoint,
    /// Check the files of the store for damage; exit code 5 if any is found
    #[command(after_help = maintenance::VERIFY_HELP)]
    Verify(maintenance::Verify),
    /// Print how much the store holds, and how large its files are
    Stats(stats::Stats),
    /// Show the state of a store on one screen
    #[command(after_help = inspect::HELP)]
    Inspect(inspect::Inspect),
    /// Look into the files of the log
    #[command(subcommand)]
    Log(log::Log),
    /// Type commands one after the other, with completion and transactions
    #[command(after_help = shell::HELP)]
    Shell,
    /// Measure this machine and its disk, in plain words
    #[command(after_help = bench::HELP)]
    Bench(bench::Bench),
    /// Show a store at work: import, overwrite, kill the process, recover, checkpoint
    ///
    /// Works in ./kv-demo, or in the directory that --dir names; KV_DIR is ignored. The store
    /// stays there, so that you can try things out.
    Demo,
    /// Print completions for a shell
    #[command(after_help = about::COMPLETIONS_HELP)]
    Completions(about::Completions),
    /// Print the manual page
    #[command(after_help = about::MAN_HELP)]
    Man(about::Man),
    /// The process that the demo kills
    #[command(hide = true)]
    DemoWriter(DemoWriter),
}

#[derive(Debug, Args)]
pub struct DemoWriter {
    /// The collection to write to
    pub collection: String,
    /// What the keys begin with
    pub prefix: String,
}
