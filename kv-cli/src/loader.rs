//! Putting rows into a store, a batch at a time.

use std::io;

use kv_store::{Batch, Store};

use crate::{
    failure::Failure,
    format::{Row, RowError, Rows},
    interrupt::Interrupt,
    output::grouped,
};

const BATCH_ROWS_MAX: usize = 1_000;
/// A batch is committed once it holds this much. It includes the row that crosses the limit.
const BATCH_BYTES_MAX: usize = 4 << 20;

pub struct Loader<'a> {
    store: &'a Store,
    interrupt: Option<&'a Interrupt>,
    batch: Batch,
    /// The line of the first row that is not committed.
    batch_line: u64,
    pub rows_committed: u64,
}

/// Why loading ended early.
#[derive(Debug)]
pub enum Stop {
    Row(RowError),
    Store(kv_store::Error),
    /// The signal has asked the process to end.
    Signal(i32),
}

impl From<kv_store::Error> for Stop {
    fn from(error: kv_store::Error) -> Self {
        Self::Store(error)
    }
}

impl<'a> Loader<'a> {
    pub fn new(store: &'a Store, interrupt: Option<&'a Interrupt>) -> Self {
        Self { store, interrupt, batch: Batch::new(), batch_line: 1, rows_committed: 0 }
    }

    /// Commits all rows, or all batches before the first row that fails.
    pub fn load(&mut self, collection: &str, rows: &mut dyn Rows) -> Result<(), Stop> {
        loop {
            match rows.next() {
                Ok(Some(row)) => self.add(collection, &row)?,
                Ok(None) => return Ok(self.commit()?),
                Err(error) => return Err(self.row_error(error)),
            }
        }
    }

    /// What stopped the rows: reading fails also when a signal comes.
    pub fn row_error(&mut self, error: RowError) -> Stop {
        match self.signal() {
            Some(signal) if matches!(error, RowError::Io(_)) => self.interrupted(signal),
            _ => Stop::Row(error),
        }
    }

    /// Adds a row, and commits if there are enough.
    pub fn add(&mut self, collection: &str, row: &Row) -> Result<(), Stop> {
        if self.batch.is_empty() {
            self.batch_line = row.line;
        }
        self.batch.put(collection, &row.key, &row.value);
        if self.batch.len() >= BATCH_ROWS_MAX || self.batch.bytes() >= BATCH_BYTES_MAX {
            self.commit()?;
        }
        match self.signal() {
            Some(signal) => Err(self.interrupted(signal)),
            None => Ok(()),
        }
    }

    /// Commits what was added.
    pub fn commit(&mut self) -> kv_store::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.store.write(&self.batch)?;
        self.rows_committed += self.batch.len() as u64;
        self.batch = Batch::new();
        Ok(())
    }

    fn signal(&self) -> Option<i32> {
        self.interrupt.and_then(Interrupt::signal)
    }

    /// Finishes the batch.
    fn interrupted(&mut self, signal: i32) -> Stop {
        self.commit().map_or_else(Stop::Store, |()| Stop::Signal(signal))
    }

    /// The failure of loading `file`, when it has ended early.
    pub fn failure(&self, stop: Stop, file: &str) -> Failure {
        let stays = self.what_stays(&stop);
        match stop {
            Stop::Row(RowError::Io(source)) => {
                Failure::Io { what: format!("cannot read {file} ({stays})"), source: plain(source) }
            }
            Stop::Row(refused) => Failure::Refused(format!("{file}, {refused}; {stays}")),
            Stop::Store(source) => {
                let what = format!("cannot import {file} from line {} on ({stays})", self.batch_line);
                Failure::Store { what, source }
            }
            Stop::Signal(signal) => {
                let rows = self.rows_committed;
                let noun = if rows == 1 { "row" } else { "rows" };
                let line = format!(
                    "interrupted: the first {} {noun} of {file} are imported; it is safe to import all of it again",
                    grouped(rows)
                );
                Failure::Interrupted { line, signal }
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

/// Only the text of an error that libraries have wrapped.
fn plain(error: io::Error) -> io::Error {
    if error.get_ref().is_some() { io::Error::new(error.kind(), error.to_string()) } else { error }
}
