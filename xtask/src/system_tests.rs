//! Runs the tests of kv-cli on the real system. They interfere at every point, such as every system
//! call; continuous integration tries only some of the points.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use crate::{Result, command::cargo_command};

/// The beginning of a line in which a test reports what it does not test, and why.
const NOT_TESTED: &str = "NOT TESTED: ";

/// Runs the tests at every point, or at those that the options select. At the end it prints again
/// what was not tested.
pub fn run(arguments: &[&str]) -> Result {
    let (mut every, mut seed) = ("1", "0");
    let mut arguments = arguments.iter().filter(|argument| **argument != "--real");
    while let Some(&argument) = arguments.next() {
        let value = arguments.next().copied().filter(|value| value.parse::<u64>().is_ok());
        match (argument, value) {
            ("--every", Some(value)) => every = value,
            ("--seed", Some(value)) => seed = value,
            _ => return Err("usage: cargo xtask crash --real [--every N] [--seed S]".to_owned()),
        }
    }
    println!("one point in {every}, seed {seed}");
    let mut command = cargo_command();
    command.args(["test", "--locked", "--package", "kv-cli", "--test", "real"]);
    command.env("KV_REAL_EVERY", every).env("KV_REAL_SEED", seed).stderr(Stdio::piped());
    let mut tests = command.spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let missing = tests.stderr.take().map(show).unwrap_or_default();
    let status = tests.wait().map_err(|error| format!("cannot wait for {command:?}: {error}"))?;
    println!("\n{}", summary(&missing));
    if status.success() { Ok(()) } else { Err(format!("the tests of the real system failed ({status})")) }
}

/// Shows what the tests print, and returns the reports of what was not tested.
fn show(written: impl Read) -> BTreeSet<String> {
    let lines = BufReader::new(written).lines().map_while(std::io::Result::ok);
    let shown = lines.inspect(|line| eprintln!("{line}"));
    shown.filter_map(|line| line.strip_prefix(NOT_TESTED).map(str::to_owned)).collect()
}

fn summary(missing: &BTreeSet<String>) -> String {
    if missing.is_empty() {
        return "This machine has everything that the tests need.".to_owned();
    }
    let lines = missing.iter().map(|line| format!("\n  {line}"));
    format!("NOT TESTED, because this machine lacks something:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{show, summary};

    #[test]
    fn what_was_not_tested_is_printed_once_at_the_end() {
        assert!(summary(&show(&b"full xfs: 6 rounds\n"[..])).contains("has everything"));
        let written = b"power cuts on ext4: 70\nNOT TESTED: a on xfs: no mkfs.xfs\nNOT TESTED: a on xfs: no mkfs.xfs\n";
        let text = summary(&show(&written[..]));
        assert_eq!(text, "NOT TESTED, because this machine lacks something:\n  a on xfs: no mkfs.xfs");
    }
}
