use std::{cmp::Ordering, ops::ControlFlow};

use kv_core::{Cursor, ReadEntry, Result};

use super::{cursor::PartCursor, open_part::WatchedCursor};

/// The end of their entries from which cursors are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    First,
    Last,
}

/// Merges the entries of one collection in several parts, in order of their keys from one end. Of
/// entries with the same key, the one of the newest part wins. A tombstone is an entry like others.
#[derive(Debug)]
pub(crate) struct Merged {
    from: From,
    /// Newest part first.
    cursors: Vec<WatchedCursor>,
    /// The cursors that stand on the current key, newest part first.
    winners: Vec<usize>,
}

impl Merged {
    /// `cursors` have not moved yet, and are those of the newest part first.
    pub(crate) fn new(from: From, cursors: Vec<WatchedCursor>) -> Self {
        Self { from, winners: (0..cursors.len()).collect(), cursors }
    }

    /// Moves to the next entry. Returns `false` if there is none. After an error there is no next
    /// entry.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let moved = self.move_winners();
        self.elect_after(moved).map(|()| !self.winners.is_empty())
    }

    /// Calls `read` with the current entry, which must not be a tombstone, and with those that
    /// follow it in the same part, as long as their keys are below `end` and below the next keys of
    /// the other parts. It passes over tombstones. If `read` breaks, the entry at which it did so
    /// stays the current one. Otherwise the next entry becomes the current one, and may be a
    /// tombstone. Only for cursors that are merged from the first entry on.
    pub(crate) fn read_run(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        match self.read_run_of_winner(end, read) {
            Ok(ControlFlow::Break(())) => Ok(ControlFlow::Break(())),
            moved => self.elect_after(moved).map(ControlFlow::Continue),
        }
    }

    fn read_run_of_winner(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        let Some((winner, hidden)) = self.winners.split_first() else { return Ok(ControlFlow::Continue(())) };
        for at in hidden {
            self.cursors[*at].advance()?;
        }
        let (newer, from_winner) = self.cursors.split_at_mut(*winner);
        self.winners.truncate(1);
        let Some((winner, older)) = from_winner.split_first_mut() else { return Ok(ControlFlow::Continue(())) };
        let others = newer.iter().chain(older.iter()).map(|other| other.cursor.key()).filter(|key| !key.is_empty());
        winner.read_puts_below(others.chain(end).min(), read)
    }

    /// Finds the cursors that stand on the first key, after some were moved.
    fn elect_after<T>(&mut self, moved: Result<T>) -> Result<()> {
        if moved.is_err() {
            self.cursors.clear();
        }
        self.winners.clear();
        for (at, cursor) in self.cursors.iter().enumerate() {
            let key = cursor.cursor.key();
            if key.is_empty() {
                continue; // it has no more entries
            }
            let order = match self.winners.first() {
                Some(best) => key.cmp(self.cursors[*best].cursor.key()),
                None => Ordering::Equal,
            };
            let order = if self.from == From::First { order } else { order.reverse() };
            if order == Ordering::Less {
                self.winners.clear();
            }
            if order != Ordering::Greater {
                self.winners.push(at);
            }
        }
        moved.map(drop)
    }

    fn move_winners(&mut self) -> Result<()> {
        for at in &self.winners {
            let cursor = &mut self.cursors[*at];
            match self.from {
                From::First => cursor.advance()?,
                From::Last => cursor.retreat()?,
            };
        }
        Ok(())
    }

    /// The cursor on the current entry; `None` if there is none, as before the first step.
    pub(crate) fn current(&self) -> Option<&PartCursor> {
        let current = &self.cursors.get(*self.winners.first()?)?.cursor;
        (!current.key().is_empty()).then_some(current)
    }
}
