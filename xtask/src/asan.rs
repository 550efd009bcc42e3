//! The tests of whoever makes maps or reads through them, under AddressSanitizer.
//!
//! It sees reads beyond memory that was allocated and of memory that was given back, and any access to what is not mapped (any more): so one that
//! outlives its map, or leaves its last page. It does not see one beyond a map's end within the last page, where a file's end is not a page's:
//! there are zeroes, which the kernel put there.

use crate::{Result, command::run as run_command, sanitizers::Build};

/// Where the unsafe code is, and who uses it; but for the comparison with other engines, which nobody is given.
const PACKAGES: [&str; 2] = ["kv-vfs", "kv-snapshot"];

const SKIPPED: [&str; 2] = [
    // Power cuts of a simulated disk, whose maps are copies: long, and nothing of it unsafe.
    "crash::",
    // It limits the address space of a child, of which AddressSanitizer takes terabytes for itself.
    "a_map_that_finds_no_room",
];

/// Runs the tests; an error if the compiler brings no runtime for this machine.
pub fn run() -> Result {
    let build = Build::new("asan")?;
    if !build.has_address_sanitizer()? {
        return Err("this toolchain has no AddressSanitizer for this machine".to_owned());
    }
    let mut cargo = build.cargo("test", &["-Zsanitizer=address"]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package])).args(["--lib", "--test", "it"]);
    cargo.arg("--").args(SKIPPED.iter().flat_map(|test| ["--skip", test]));
    run_command(&mut cargo)
}

/// Whether there is something to run.
pub fn is_available() -> bool {
    Build::new("asan").and_then(|build| build.has_address_sanitizer()).unwrap_or(false)
}
