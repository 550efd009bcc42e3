//! A whole store, with writers, readers and checkpoints at once, in every order that loom finds.
#![cfg(loom)]

mod log;
mod publication;
mod snapshots;
mod support;
