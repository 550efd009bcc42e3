//! The comparison with the engines that this build has: `cargo xtask compare`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    kv_bench::compare::main(&kv_bench::compare::engines::all())
}
