//! Writing: what the lock of a log protects, and who does what under it.

mod buffer;
mod foreign;
mod in_place;
mod poison;
mod shared;
mod state;
mod trim;

pub(crate) use buffer::{Buffer, Unsynced};
pub(crate) use in_place::check_space;
pub(crate) use poison::Poison;
pub(crate) use shared::{Guard, Shared, new_identity};
pub(crate) use state::State;
