//! load: puts into a store what dump has written.

use std::{
    collections::BTreeSet,
    io::BufRead,
    path::PathBuf,
    time::{Duration, Instant},
};

use kv_store::Store;
use serde::{Deserialize, de::DeserializeOwned};

use super::dump;
use crate::{
    env::Env,
    failure::{Context, Failure},
    format::{LINE_BYTES_MAX, Lines, RowError, object, pair},
    interrupt::Interrupt,
    loader::{Loader, Stop},
    opening,
    output::{counted, counted_entries, duration},
    source::{Packing, Source, packing_of, show},
};

pub const HELP: &str = "\
A dump is loaded only if none of its collections is in the store, which is
checked before anything is written. --merge allows it: entries are added to
those that are there, and the dump's value counts where a key is in both.

Rows are committed in batches, as by `kv import`. If the dump is damaged or cut
off, the message says how much was loaded. It is safe to load it again, with
--merge.";

#[derive(Debug, clap::Args)]
pub struct Load {
    /// The dump; `-` reads stdin
    file: PathBuf,
    /// Add to collections that are there already
    #[arg(long)]
    merge: bool,
    /// How the file is packed [default: by its extension, .gz or .zst]
    #[arg(long, value_enum)]
    packed: Option<Packing>,
}

#[derive(Deserialize)]
struct Head {
    kv_dump: u32,
}

#[derive(Deserialize)]
struct Collection {
    collection: String,
}

#[derive(Deserialize)]
struct EntriesOf {
    entries_of: String,
}

#[derive(Deserialize)]
struct End {
    collections: u64,
    entries: u64,
}

pub fn run(env: &mut Env<'_>, args: &Load) -> Result<(), Failure> {
    let interrupt = Interrupt::watch().doing(|| "cannot watch for signals".into())?;
    let source = Source::open(env, &args.file, &interrupt)?;
    let file = source.name.clone();
    let bar = source.progress_bar();
    let content = source.content(args.packed.or(packing_of(&args.file).0), &bar)?;
    let mut lines = Lines::new(content, LINE_BYTES_MAX);
    // A file that is no dump must not leave a new store behind.
    let not_begun = |error: RowError| Failure::Refused(format!("{file}, {error}; nothing was loaded"));
    head(&mut lines).map_err(not_begun)?;
    let store = opening::or_new(env)?;

    show(&bar, env.teller.is_quiet());
    let started = Instant::now();
    let existing = match args.merge {
        true => BTreeSet::new(),
        false => {
            let all = store.collections().doing(|| "cannot list the collections".into())?;
            all.into_iter().map(|info| info.name).collect()
        }
    };
    let mut dump = Dump { lines, line: 1, existing, collections: 0 };
    let mut loader = Loader::new(&store, Some(&interrupt));
    let loaded = dump.load(&store, &mut loader);
    bar.finish_and_clear();
    loaded.map_err(|stop| loader.failure(stop, &file))?;
    opening::close(env, &store);
    report(env, dump.collections, loader.rows_committed, started.elapsed());
    Ok(())
}

fn report(env: &Env<'_>, collections: u64, entries: u64, time: Duration) {
    let (collections, entries) = (counted(collections, "collection"), counted_entries(entries));
    env.teller.report(format_args!("loaded {entries} of {collections} in {}", duration(time)));
}

/// Reads the first line.
fn head<R: BufRead>(lines: &mut Lines<R>) -> Result<(), RowError> {
    let no_dump = || RowError::refused(1, "this is not what `kv dump` writes; `kv import` reads other files");
    let Some((_, line)) = lines.next()? else { return Err(no_dump()) };
    let head: Head = serde_json::from_slice(line).map_err(|_| no_dump())?;
    match head.kv_dump {
        dump::FORMAT => Ok(()),
        other => {
            let reason = format!("a dump of format {other}, but this version of kv reads format {}", dump::FORMAT);
            Err(RowError::refused(1, reason))
        }
    }
}

/// A dump behind its first line.
struct Dump<R> {
    lines: Lines<R>,
    /// The line that was read last.
    line: u64,
    /// The collections that must not be touched.
    existing: BTreeSet<String>,
    collections: u64,
}

/// The collection whose entries are read.
struct Current {
    name: String,
    is_empty: bool,
}

impl<R: BufRead> Dump<R> {
    fn load(&mut self, store: &Store, loader: &mut Loader<'_>) -> Result<(), Stop> {
        let mut current: Option<Current> = None;
        loop {
            let (number, line) = match self.lines.next() {
                Ok(Some((number, line))) => (number, line),
                Ok(None) => return Err(self.cut_off(loader)),
                Err(error) => return Err(loader.row_error(error)),
            };
            self.line = number;
            let refused = |reason| Stop::Row(RowError::refused(number, reason));
            let text = object(line).map_err(refused)?;
            match kind(text) {
                Kind::Entry => {
                    let Some(current) = &mut current else {
                        return Err(refused("an entry before the line that names its collection".into()));
                    };
                    let row = pair(number, text).map_err(Stop::Row)?;
                    current.is_empty = false;
                    loader.add(&current.name, &row)?;
                }
                Kind::Collection => {
                    let Collection { collection } = parsed(text).map_err(refused)?;
                    self.must_be_new(&collection).map_err(refused)?;
                }
                Kind::EntriesOf => {
                    let EntriesOf { entries_of } = parsed(text).map_err(refused)?;
                    self.must_be_new(&entries_of).map_err(refused)?;
                    finish(current.replace(Current { name: entries_of, is_empty: true }), store)?;
                    self.collections += 1;
                }
                Kind::End => {
                    finish(current, store)?;
                    loader.commit()?;
                    let End { collections, entries } = parsed(text).map_err(refused)?;
                    if (collections, entries) != (self.collections, loader.rows_committed) {
                        let reason = format!("the dump should have {}", counted_entries(entries));
                        return Err(refused(reason));
                    }
                    return self.must_have_ended();
                }
                Kind::Other => return Err(refused("this is no line of a dump".into())),
            }
        }
    }

    fn must_be_new(&self, collection: &str) -> Result<(), String> {
        match self.existing.contains(collection) {
            true => Err(format!("there is a collection {collection:?} already; --merge adds to it")),
            false => Ok(()),
        }
    }

    /// Commits what came before the end of a dump that has no last line.
    fn cut_off(&self, loader: &mut Loader<'_>) -> Stop {
        let reason = "the dump ends here without its last line, so it is not complete".to_owned();
        loader.commit().map_or_else(Stop::Store, |()| Stop::Row(RowError::refused(self.line, reason)))
    }

    fn must_have_ended(&mut self) -> Result<(), Stop> {
        match self.lines.next_that_is_not_blank().map_err(Stop::Row)? {
            Some((number, _)) => Err(Stop::Row(RowError::refused(number, "there is more behind the end of the dump"))),
            None => Ok(()),
        }
    }
}

/// A collection without entries has to be created: no put does it.
fn finish(current: Option<Current>, store: &Store) -> kv_store::Result<()> {
    match current {
        Some(Current { name, is_empty: true }) => store.create_collection(&name).map(|_| ()),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Entry,
    Collection,
    EntriesOf,
    End,
    Other,
}

/// What a line is: its first member says so.
fn kind(text: &str) -> Kind {
    let name = text.trim_start_matches('{').trim_start().trim_start_matches('"');
    let name = name.split('"').next().unwrap_or_default();
    match name {
        "key" | "key_base64" => Kind::Entry,
        "collection" => Kind::Collection,
        "entries_of" => Kind::EntriesOf,
        "end" => Kind::End,
        _ => Kind::Other,
    }
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no line of a dump: {error}"))
}
