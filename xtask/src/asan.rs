//! The tests of the crates that make maps or read through them, under AddressSanitizer.
//!
//! It finds reads outside of allocated memory and reads of freed memory. It also finds every access
//! to memory that is not mapped, or no longer: a read that outlives its map, or goes beyond its
//! last page. It does not find a read beyond the end of a file within the last page of its map:
//! there are zeroes, which the kernel put there.

use crate::{Result, command::run as run_command, sanitizers::Build};

/// The crate with the unsafe code, and its user. The comparison with other engines has unsafe code,
/// too, but is not shipped.
const PACKAGES: [&str; 2] = ["kv-vfs", "kv-snapshot"];

const SKIPPED: [&str; 2] = [
    // Power cuts of a simulated disk, whose maps are copies: they take long, without unsafe code.
    "crash::",
    // It limits the address space of a child, but AddressSanitizer needs terabytes of it.
    "a_map_that_finds_no_room",
];

/// Runs the tests. An error if the compiler has no runtime for this machine.
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

/// Whether the tests can run here.
pub fn is_available() -> bool {
    Build::new("asan").and_then(|build| build.has_address_sanitizer()).unwrap_or(false)
}
