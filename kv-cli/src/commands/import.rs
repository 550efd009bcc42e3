//! import: one entry per row, in batches, in bounded memory.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufReader, IsTerminal, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kv_store::{Batch, Store};

use crate::{
    env::Env,
    failure::Failure,
    format::{Format, Row, RowError, Rows},
    opening,
    output::{counted, duration, grouped, rate},
};

const BATCH_ROWS_MAX: usize = 1_000;
/// A batch is committed once it holds this much. It includes the row that crosses the limit.
const BATCH_BYTES_MAX: usize = 4 << 20;

pub const HELP: &str = "\
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

#[derive(Debug, clap::Args)]
pub struct Import {
    /// The collection to import into
    collection: OsString,
    /// The file to import; `-` reads stdin
    file: PathBuf,
    /// The format [default: by the file's extension, or tsv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The field that is the key; the value is the whole row as JSON. For csv with a header, and
    /// for jsonl
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
}

pub fn run(env: &mut Env<'_>, args: Import) -> Result<(), Failure> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.file));
    if format == Format::Tsv && args.key.is_some() {
        return Err(Failure::Usage("--key needs rows with named fields: csv or jsonl (see --format)".into()));
    }
    let name = opening::name_of(&args.collection)?;
    // The input is opened first: a mistyped file name must not leave a new store behind.
    let (input, bytes) = open_input(&args.file)?;
    let store = opening::or_new(env)?;
    let is_new = !opening::exists(&store, name)?;

    let bar = progress_bar(bytes);
    let source = named(&args.file);
    let cannot_read = |e| cannot_read(&source, e);
    let mut rows = format.rows(BufReader::new(bar.wrap_read(input)), args.key).map_err(cannot_read)?;
    let started = Instant::now();
    let mut loader = Loader::new(&store, name);
    let loaded = loader.load(&mut *rows);
    bar.finish_and_clear();
    if is_new && loader.rows_committed > 0 {
        opening::announce_collection(env, &store, name);
    }
    let time = started.elapsed();
    loaded.map_err(|stop| loader.failure(stop, &source))?;
    report(env, loader.rows_committed, name, time);
    opening::close(env, &store);
    Ok(())
}

fn report(env: &Env<'_>, rows: u64, name: &str, time: Duration) {
    let (rows, time, rate) = (counted(rows, "row"), duration(time), grouped(rate(rows, time)));
    env.teller.report(format_args!("imported {rows} into {name:?} in {time} ({rate} rows/s)"));
}

/// The file's name in a message.
fn named(file: &Path) -> String {
    if file == Path::new("-") { "stdin".into() } else { file.display().to_string() }
}

fn cannot_read(file: &str, source: io::Error) -> Failure {
    Failure::Io { what: format!("cannot read {file}"), source }
}

/// The input, and its length in bytes if that is known.
fn open_input(file: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let open = || {
        let input = File::open(file)?;
        let metadata = input.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok((input, metadata.is_file().then_some(metadata.len())))
    };
    let (input, bytes) = open().map_err(|e| cannot_read(&named(file), e))?;
    Ok((Box::new(input), bytes))
}

/// A progress bar, which draws nothing if stderr is no terminal.
fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match bytes {
        Some(_) => "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {bytes}, {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr()).with_style(style)
}

/// Puts rows into a collection, a batch at a time.
pub struct Loader<'a> {
    store: &'a Store,
    collection: &'a str,
    batch: Batch,
    /// The line of the first row that is not committed.
    batch_line: u64,
    pub rows_committed: u64,
}

/// Why an import ended early.
#[derive(Debug)]
pub enum Stop {
    Row(RowError),
    Store(kv_store::Error),
}

impl<'a> Loader<'a> {
    pub fn new(store: &'a Store, collection: &'a str) -> Self {
        Self { store, collection, batch: Batch::new(), batch_line: 1, rows_committed: 0 }
    }

    /// Commits all rows, or all batches before the first one that fails.
    pub fn load(&mut self, rows: &mut dyn Rows) -> Result<(), Stop> {
        while let Some(row) = rows.next().map_err(Stop::Row)? {
            self.add(&row);
            if self.batch.len() >= BATCH_ROWS_MAX || self.batch.bytes() >= BATCH_BYTES_MAX {
                self.commit()?;
            }
        }
        self.commit()
    }

    fn add(&mut self, row: &Row) {
        if self.batch.is_empty() {
            self.batch_line = row.line;
        }
        self.batch.put(self.collection, &row.key, &row.value);
    }

    fn commit(&mut self) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.store.write(&self.batch).map_err(Stop::Store)?;
        self.rows_committed += self.batch.len() as u64;
        self.batch = Batch::new();
        Ok(())
    }

    /// The failure of an import of `file` that ended early.
    pub fn failure(&self, stop: Stop, file: &str) -> Failure {
        let stays = self.what_stays(&stop);
        match stop {
            Stop::Row(RowError::Io(e)) => cannot_read(file, io::Error::new(e.kind(), format!("{e}; {stays}"))),
            Stop::Row(refused) => Failure::Refused(format!("{file}, {refused}; {stays}")),
            Stop::Store(source) => {
                let what = format!("cannot import {file} from line {} on ({stays})", self.batch_line);
                Failure::Store { what, source }
            }
        }
    }

    fn what_stays(&self, stop: &Stop) -> String {
        let first = match stop {
            // The bad row is the first of its batch.
            Stop::Row(RowError::Refused { line, .. }) if self.batch.is_empty() => *line,
            _ => self.batch_line,
        };
        match self.rows_committed {
            0 => "nothing was imported".into(),
            1 => format!("the row before line {first} stays imported"),
            rows => format!("the {rows} rows before line {first} stay imported"),
        }
    }
}
