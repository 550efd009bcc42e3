//! Trying the orders in which threads may run: the tests that loom drives.

use std::env;

use crate::{
    Result,
    command::{cargo_command, run as run_command},
    metadata,
};

/// Builds with `--cfg loom`, in a folder of its own, so that the usual build stays as it is, and runs the loom tests.
pub fn run() -> Result {
    // The other unit tests are not made for loom, whose primitives work in its models only.
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

/// The flags that are set, and the one that puts loom's primitives in the place of the standard library's.
fn flags() -> String {
    format!("{} --cfg loom", env::var("RUSTFLAGS").unwrap_or_default())
}
