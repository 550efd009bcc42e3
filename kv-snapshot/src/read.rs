//! Reads parts and checkpoints in place, through maps.

pub(crate) mod blocks;
pub(crate) mod checkpoint;
pub(crate) mod cursor;
pub(crate) mod part;
mod prefetch;
mod search;
mod stripes;
