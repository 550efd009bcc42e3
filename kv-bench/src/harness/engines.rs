//! This project's engines, and the adapters that measure a log or a checkpointer without a store.

mod checkpointer_alone;
mod kv;
mod kv_parts;
mod log_alone;

pub use checkpointer_alone::CheckpointerAlone;
pub use kv::Kv;
pub use kv_parts::{CHECKPOINTER, LOG};
pub use log_alone::LogAlone;

use super::engine::Engine;

/// This project's engine, its log and its checkpointer.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![&Kv, &LOG, &CHECKPOINTER]
}
