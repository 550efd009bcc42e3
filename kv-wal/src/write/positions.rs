//! The positions of the log, which are read without its lock.

use std::sync::atomic::AtomicU64;

use kv_core::{Bounds, Epoch, Lsn};

use crate::sync::{AtomicU64 as Modelled, Ordering};

/// How far the log has come. Only a thread that holds the lock raises a position; none ever falls.
///
/// A position is changed with `Release` after the work that it stands for, and read with `Acquire`.
/// So a thread that reads a position sees that work, and at least the positions that it implies.
/// `written` and `durable` promise more: see [`bounds`](Positions::bounds).
#[derive(Debug)]
pub(crate) struct Positions {
    /// The last position that was trimmed.
    trimmed: AtomicU64,
    /// The durable position that the mark states. Threads return from a sync when they see it, so
    /// loom has to know of it. It need not know of the others, and so has fewer steps to order.
    marked: Modelled,
    durable: AtomicU64,
    written: AtomicU64,
    appended: AtomicU64,
}

impl Positions {
    /// The positions of a log that was recovered: its records end with `last`.
    pub(crate) fn recovered(trimmed: Lsn, marked: Lsn, last: Lsn) -> Self {
        let at = |lsn: Lsn| AtomicU64::new(lsn.0);
        let marked = Modelled::new(marked.0);
        Self { trimmed: at(trimmed), marked, durable: at(last), written: at(last), appended: at(last) }
    }

    pub(crate) fn trimmed(&self) -> Lsn {
        get(&self.trimmed)
    }

    pub(crate) fn marked(&self) -> Lsn {
        Lsn(self.marked.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Lsn {
        get(&self.durable)
    }

    pub(crate) fn written(&self) -> Lsn {
        get(&self.written)
    }

    pub(crate) fn appended(&self) -> Lsn {
        get(&self.appended)
    }

    pub(crate) fn set_trimmed(&self, lsn: Lsn) {
        self.trimmed.store(lsn.0, Ordering::Release);
    }

    pub(crate) fn set_marked(&self, lsn: Lsn) {
        self.marked.store(lsn.0, Ordering::Release);
    }

    pub(crate) fn set_durable(&self, lsn: Lsn) {
        set_in_order(&self.durable, lsn);
    }

    pub(crate) fn set_written(&self, lsn: Lsn) {
        set_in_order(&self.written, lsn);
    }

    pub(crate) fn set_appended(&self, lsn: Lsn) {
        self.appended.store(lsn.0, Ordering::Release);
    }

    /// All of them. Each is read after those that it is never below, so the result is in order even
    /// if positions rise meanwhile.
    ///
    /// A thread that has done its part of some work, and looks here whether another thread has done
    /// the other part, relies on this: of two such threads at least one sees both parts. So the two
    /// positions that stand for work of the log are read and changed by operations that put each
    /// other in order.
    pub(crate) fn bounds(&self, epoch: Epoch, record_bytes_max: usize) -> Bounds {
        let (trimmed, durable, written) = (self.trimmed(), in_order(&self.durable), in_order(&self.written));
        Bounds { trimmed, durable, written, appended: self.appended(), epoch, record_bytes_max }
    }
}

/// Reads a position so that this comes before or after every change of it: what this thread did
/// before is seen by the thread of the next change, if the change is not seen here.
fn in_order(position: &AtomicU64) -> Lsn {
    Lsn(position.fetch_add(0, Ordering::AcqRel))
}

fn get(position: &AtomicU64) -> Lsn {
    Lsn(position.load(Ordering::Acquire))
}

fn set_in_order(position: &AtomicU64, lsn: Lsn) {
    position.swap(lsn.0, Ordering::AcqRel);
}
