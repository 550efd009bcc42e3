//! The comparison of the engines that this build has: `cargo xtask compare`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use kv_bench::harness::Program;

fn main() -> ExitCode {
    let engines = kv_compare::engines::all();
    Program {
        engines: &engines,
        invocation: Some("cargo xtask compare"),
        write_report: Some(kv_compare::report::write),
    }
    .main()
}
