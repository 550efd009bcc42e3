//! Runs the tests in which loom tries the interleavings of threads.

use std::env;

use crate::{
    Result,
    command::{cargo_command, run as run_command},
    metadata,
};

/// Builds with `--cfg loom` and runs the loom tests. It uses another target directory, so that the
/// usual build stays as it is.
pub fn run() -> Result {
    // Loom's primitives work only in its models, so the other unit tests cannot run.
    test(&["--package", "kv-core", "--lib", "--", "--nocapture", "loom_tests"])?;
    test(&["--package", "kv-core", "--test", "loom", "--", "--nocapture"])?;
    test(&["--package", "kv-wal", "--test", "loom", "--", "--nocapture"])
}

fn test(arguments: &[&str]) -> Result {
    let target = metadata::workspace()?.target_directory.join("loom");
    let mut command = cargo_command();
    command.args(["test", "--locked", "--profile", "loom"]).args(arguments);
    command.env("RUSTFLAGS", flags()).env("CARGO_TARGET_DIR", target);
    run_command(&mut command)
}

/// The compiler's flags: those that are set already, and the one that replaces the primitives of
/// the standard library by loom's.
pub fn flags() -> String {
    format!("{} --cfg loom", env::var("RUSTFLAGS").unwrap_or_default())
}
