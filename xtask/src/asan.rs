//! The tests of whoever makes maps or reads through them, under AddressSanitizer.

use crate::{Result, command::run as run_command, instrumented::Build};

/// Where the unsafe code is, and who uses it.
const PACKAGES: [&str; 2] = ["kv-vfs", "kv-snapshot"];

/// Runs the tests; an error if the compiler brings no runtime for this machine.
pub fn run() -> Result {
    let build = Build::new("asan")?;
    if !build.has_address_sanitizer()? {
        return Err("this toolchain has no AddressSanitizer for this machine".to_owned());
    }
    let mut cargo = build.cargo("test", &["-Zsanitizer=address"]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package])).args(["--lib", "--test", "it"]);
    run_command(&mut cargo)
}

/// Whether there is something to run.
pub fn is_available() -> bool {
    Build::new("asan").and_then(|build| build.has_address_sanitizer()).unwrap_or(false)
}
