//! import: one entry per row, in batches, in bounded memory.

use std::{
    fs::File,
    io::{self, BufReader, IsTerminal, Read},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kv_store::{Batch, Store};

use crate::{
    cli::Import,
    failure::Failure,
    format::{Format, Row, RowError, Rows},
    opening,
    output::{counted, duration, grouped, rate, tell},
};

const BATCH_ROWS_MAX: usize = 1_000;
/// A batch is committed once it holds this much. It includes the row that crosses the limit.
const BATCH_BYTES_MAX: usize = 4 << 20;

pub fn run(dir: &Path, args: Import) -> Result<(), Failure> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.file));
    if format == Format::Tsv && args.key.is_some() {
        return Err(Failure::Usage("--key needs rows with named fields: csv or jsonl (see --format)".into()));
    }
    let name = opening::name_of(&args.collection)?;
    // The input is opened first: a mistyped file name must not leave a new store behind.
    let (input, bytes) = open_input(&args.file)?;
    let store = opening::or_new(dir)?;
    // A name that is not valid is refused before a row is read.
    opening::collection(&store, &args.collection)?;

    let bar = progress_bar(bytes);
    let source = named(&args.file);
    let cannot_read = |e| cannot_read(&source, e);
    let mut rows = format.rows(BufReader::new(bar.wrap_read(input)), args.key).map_err(cannot_read)?;
    let started = Instant::now();
    let mut loader = Loader::new(&store, name);
    let loaded = loader.load(&mut *rows);
    bar.finish_and_clear();
    let time = started.elapsed();
    loaded.map_err(|stop| loader.failure(stop, &source))?;
    report(loader.rows_committed, name, time);
    opening::close(&store);
    Ok(())
}

fn report(rows: u64, name: &str, time: Duration) {
    let (rows, time, rate) = (counted(rows, "row"), duration(time), grouped(rate(rows, time)));
    tell(format_args!("imported {rows} into {name:?} in {time} ({rate} rows/s)"));
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
