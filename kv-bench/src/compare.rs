//! The comparison with other engines.

pub mod engine;
pub mod engines;
pub mod report;
pub mod summary;
pub mod workloads;

pub use engine::{Database, Engine, Session};
