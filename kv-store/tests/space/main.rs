//! How a store uses a small disk: a simulated one, of a size that a test chooses.
//!
//! What is alive in these stores is far smaller than the disk. So no write may ever fail, however
//! much is written, whether programs close their store or not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod full;
mod lives;
mod plain_log;
mod shrinking;
mod small_disk;
mod support;
