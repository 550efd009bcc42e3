//! What the tests need of the machine, how much they try, and how they report both.

use std::{
    env,
    io::{self, Write},
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// Reports what is not tested. This bypasses the harness, which hides the output of tests that
/// pass.
pub fn not_tested(what: &str, why: &str) {
    say(&format!("NOT TESTED: {what}: {why}"));
}

/// Prints a line of the summary.
pub fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Whether a tool is installed. If not, reports it.
pub fn has(tool: &str, tested: &str) -> bool {
    let found = is_there(tool);
    if !found {
        not_tested(tested, &format!("there is no {tool} here"));
    }
    found
}

/// Whether a tool is installed.
pub fn is_there(tool: &str) -> bool {
    let find = format!("command -v {tool}");
    Command::new("sh").args(["-c", &find]).stdout(Stdio::null()).status().unwrap().success()
}

/// Whether this is the super user. If not, reports it.
pub fn is_root(tested: &str) -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    let root = id.stdout.trim_ascii() == b"0";
    if !root {
        not_tested(tested, "only the super user can do it");
    }
    root
}

/// A directory in memory, if there is such a file system. For tests with injected faults a disk
/// would only be slower.
pub fn memory_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

/// Tests that go through points one by one try one in this number.
pub fn every() -> u64 {
    number("KV_REAL_EVERY", 7).max(1)
}

/// Selects which ones, and when processes are killed.
pub fn seed() -> u64 {
    number("KV_REAL_SEED", 0)
}

/// The points that this run tries.
pub fn chosen<T>(all: Vec<T>) -> Vec<T> {
    (seed()..).zip(all).filter(|(number, _)| number % every() == 0).map(|(_, one)| one).collect()
}
