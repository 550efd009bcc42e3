//! Tests on the real system: the `kv` binary and a small writer on real files and file systems,
//! with kills, failures, full disks, power cuts and other owners.
//!
//! What the machine does not allow (mounting, tracing, another user) is not tested, and a line on
//! stderr says so. Tests that go through every system call of a run try one call in seven;
//! `cargo xtask crash --real` tries all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod beside;
mod commands;
mod fsyncgate;
mod full;
mod inject;
mod kill;
#[path = "../it/kv.rs"]
#[expect(dead_code, reason = "shared with the other tests of the binary, which use more of it")]
mod kv;
mod ledger;
mod limits;
mod mounts;
mod owner;
mod plan;
mod power_cut;
mod process;
mod rights;
mod seal;
mod strace;
mod tools;
mod writer;
