//! The tests of the crates that make maps, read through them or have memory of their own, under
//! AddressSanitizer.
//!
//! It finds reads outside of allocated memory and reads of freed memory. It also finds every access
//! to memory that is not mapped, or not any more: a read after the end of its map, or beyond the
//! map's last page. It does not find a read beyond the end of a file but within the last page of
//! its map: the kernel has filled the rest of that page with zeroes.

use crate::{Result, command::run as run_command, sanitizers::Build};

/// The tests of the crates with unsafe code and of their users. The comparison with other engines
/// has unsafe code, too, but is not shipped. The other tests of kv-core pretend to be in a child
/// made by `fork`, which leaks on purpose.
const TESTS: [&[&str]; 2] =
    [&["--package", "kv-core", "--lib"], &["--package", "kv-vfs", "--package", "kv-snapshot", "--lib", "--test", "it"]];

const SKIPPED: [&str; 5] = [
    // Power cuts and failures of a simulated disk. They take long and run no unsafe code, because
    // its maps are copies.
    "crash::",
    "conformance_of_writing::power_cut::",
    "conformance_of_writing::faults::",
    // These tests limit the address space of a child, but AddressSanitizer needs terabytes of it.
    "a_map_that_finds_no_room",
    "where_no_map_can_be_made",
];

/// Runs the tests. Fails if the compiler has no runtime for this machine.
pub fn run() -> Result {
    let build = Build::new("asan")?;
    if !build.has_address_sanitizer()? {
        return Err("this toolchain has no AddressSanitizer for this machine".to_owned());
    }
    TESTS.iter().try_for_each(|tests| {
        let mut cargo = build.cargo("test", &["-Zsanitizer=address"]);
        cargo.args(*tests).arg("--").args(SKIPPED.iter().flat_map(|test| ["--skip", test]));
        run_command(&mut cargo)
    })
}

/// Whether the tests can run here.
pub fn is_available() -> bool {
    Build::new("asan").and_then(|build| build.has_address_sanitizer()).unwrap_or(false)
}
