//! Who flushes, and how the other threads wait for that: the queue of the group commit. It is
//! entered and left without the log's lock.
//!
//! One thread at a time *leads* a flush, for all records that were appended before it takes its
//! group. When the flush ends, the threads wake whose records it covered, and one of the others,
//! which leads the next one unless a thread that runs already does. The rest sleep on until that
//! one ends. So there are two events, and groups use them in turn.

use std::time::Duration;

use kv_core::Lsn;

use super::company::Company;
use crate::sync::{AtomicBool, AtomicU64, Events, Ordering};

#[derive(Debug)]
pub(crate) struct Flushes {
    /// Whether a thread leads a flush.
    is_led: AtomicBool,
    /// The last group that was taken, as [`Group::packed`].
    taken: AtomicU64,
    /// A flush has ended. The threads of a group wait for the event of its turn.
    ended: Events,
    company: Company,
}

/// The records that one flush covers.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The position of the last one.
    upto: Lsn,
    turn: usize,
}

impl Group {
    /// Both in one number, so that they are read together. Positions stay far below 2^63.
    fn packed(self) -> u64 {
        self.upto.0 << 1 | self.turn as u64
    }

    fn unpacked(packed: u64) -> Self {
        Self { upto: Lsn(packed >> 1), turn: (packed & 1) as usize }
    }

    fn next_turn(self) -> usize {
        1 - self.turn
    }
}

impl Flushes {
    pub(crate) fn new() -> Self {
        Self {
            is_led: AtomicBool::new(false),
            taken: AtomicU64::new(Group { upto: Lsn(0), turn: 0 }.packed()),
            ended: Events::new(),
            company: Company::default(),
        }
    }

    /// The right to flush; `None` if another thread has it.
    pub(crate) fn lead(&self) -> Option<Lead<'_>> {
        let was_led = self.is_led.swap(true, Ordering::AcqRel);
        (!was_led).then(|| Lead { flushes: self, ended: None })
    }

    /// Counts a thread that has come to wait for a flush.
    pub(crate) fn arrive(&self) {
        self.company.arrive();
    }

    /// What has ended by now, for [`lead_or_wait`](Flushes::lead_or_wait).
    pub(crate) fn seen(&self) -> [u32; 2] {
        self.ended.counts()
    }

    /// The right to flush, after a moment in which others may arrive. If another thread has it,
    /// waits until the flush that covers the record at `upto` may have ended, or until the next one
    /// has no leader, and returns `None`. The record was appended before. If the flush ended since
    /// `seen`, there is no wait: so the caller looks whether the record is durable only after it
    /// has taken `seen`.
    pub(crate) fn lead_or_wait(&self, upto: Lsn, seen: [u32; 2]) -> Option<Lead<'_>> {
        let taken = self.taken();
        let turn = if upto <= taken.upto { taken.turn } else { taken.next_turn() };
        self.company.wait(|| self.is_led());
        let lead = self.lead();
        if lead.is_none() {
            self.ended.wait(turn, seen, || !self.is_led());
        }
        lead
    }

    fn is_led(&self) -> bool {
        self.is_led.load(Ordering::Acquire)
    }

    fn taken(&self) -> Group {
        Group::unpacked(self.taken.load(Ordering::Acquire))
    }
}

/// The right to flush. Dropping it ends the flush.
#[derive(Debug)]
pub(crate) struct Lead<'a> {
    flushes: &'a Flushes,
    /// The last group, once this leads no longer.
    ended: Option<Group>,
}

impl Lead<'_> {
    /// Notes that the flush covers the records up to that one. The log's lock is held, so that a
    /// thread which appends a record later finds this.
    pub(crate) fn take(&self, upto: Lsn) {
        let group = Group { upto, turn: self.flushes.taken().next_turn() };
        self.flushes.taken.store(group.packed(), Ordering::Release);
        self.flushes.company.take();
    }

    /// Notes how long the flush has taken.
    pub(crate) fn note(&self, time: Duration) {
        self.flushes.company.note(time);
    }

    /// Lets another thread lead. Those that sleep are woken only when this is dropped.
    pub(crate) fn give_up(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(self.flushes.taken());
            // A store would do, but loom does not put it after the swap of another thread that it
            // follows.
            self.flushes.is_led.swap(false, Ordering::AcqRel);
            self.flushes.ended.count_up();
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.give_up();
        if let Some(group) = self.ended {
            // First a leader, so that the next flush begins while the others wake.
            self.flushes.ended.wake_one(group.next_turn());
            self.flushes.ended.wake_all(group.turn);
        }
    }
}
