//! The comparison with other engines.

mod child;
mod cli;
mod data;
pub mod engine;
pub mod engines;
mod host;
mod measure;
mod report;
mod run;
mod scenarios;
mod summarize;
pub mod summary;
pub mod workloads;

pub use cli::main;
pub use engine::{Database, Engine, Session};
