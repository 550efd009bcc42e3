//! Measures this project's engine, its log and its checkpointer, without any peer.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    kv_bench::harness::main(&kv_bench::harness::engines::all())
}
