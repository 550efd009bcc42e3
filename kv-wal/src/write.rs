//! Writing: the state that the log's lock protects, and the work that runs outside of that lock.
//!
//! Any number of threads append, sync, trim and read, and one background job prepares spares. The
//! lock of [`State`] puts all of that in order. Three kinds of work run without the lock, so that
//! appends and readers can go on meanwhile:
//!
//! - **A flush** writes, syncs and marks. It first takes the buffer and the list of unsynced
//!   segments out of the state. What is appended meanwhile goes to the now empty buffer and waits
//!   for the next flush. [`Flushes`](flushes::Flushes) admits one flush at a time.
//! - **Preparing a spare** creates a file. It first takes the present spare, if any, out of the
//!   state, so that no append begins that spare meanwhile. `State::preparing` admits one at a time.
//! - **A trim** removes files. It first takes their segments out of the state, so that no reader is
//!   sent to them any more.
//!
//! A flush and a preparation follow the same pattern. They set their flag (a sync before it takes
//! the lock) and take what they need under the lock. They work without the lock. Then they publish
//! the outcome and reset the flag, again under the lock, and wake the threads that wait. No wake-up
//! is lost, because a thread that has seen the flag under the lock releases the lock only as it
//! begins to wait; the threads that wait for a flush without the lock count its ends instead
//! (`flushes.rs`). A woken thread looks at the whole state again, so waking it for another reason
//! does no harm. And the work is [guarded](kv_core::guarded): a panic in it becomes an error, so
//! the flag is always reset and no thread waits for ever.
//!
//! The [positions](Positions) of the log are read without the lock.
//!
//! The mark has a lock of its own, because a flush writes it without holding the state. That lock
//! is always taken last: no other lock is taken under it.

mod buffer;
mod company;
mod flushes;
mod foreign;
mod in_place;
mod poison;
mod positions;
mod room;
mod shared;
mod state;
mod trim;

pub(crate) use buffer::{Buffer, Unsynced, WrittenBy};
pub(crate) use in_place::check_space;
pub(crate) use poison::Poison;
pub(crate) use positions::Positions;
pub(crate) use room::Room;
pub(crate) use shared::{Guard, Shared, new_identity};
pub(crate) use state::State;
