//! Reads parts and checkpoints: in place, through maps, or with `pread` and a cache.

mod ahead;
pub(crate) mod blocks;
pub(crate) mod cache;
pub(crate) mod checkpoint;
pub(crate) mod cursor;
pub(crate) mod file;
pub(crate) mod in_use;
pub(crate) mod merged;
pub(crate) mod open_part;
pub(crate) mod part;
pub(crate) mod piece;
mod prefetch;
pub(crate) mod range;
mod scrub;
pub(crate) mod search;
mod size;
pub(crate) mod stack;
mod unmapped;
