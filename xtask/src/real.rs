//! Crashing the engine on the real system: every point of what continuous integration tries a part of.

use crate::{
    Result,
    command::{cargo_command, run as run_command},
};

/// Runs the tests of the real system in full, or as the options say.
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
    println!("one point in {every}, seed {seed}; what is NOT TESTED is said");
    let mut command = cargo_command();
    command.args(["test", "--locked", "--package", "kv-cli", "--test", "real"]);
    run_command(command.env("KV_REAL_EVERY", every).env("KV_REAL_SEED", seed))
}
