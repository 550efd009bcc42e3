//! Runs every target over its corpus and mutations of it, and measures the memory that it takes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod allocation;
mod corpus;
