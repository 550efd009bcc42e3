//! Every target over its corpus and mutations of it, and how much memory that takes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod allocation;
mod corpus;
