//! Every target over its corpus and mutations of it, and how much memory that takes.

mod allocation;
mod corpus;
