//! Checks histories of whole runs with threads, crashes and faults.

use crate::{
    Result,
    command::{cargo_command, run as run_command},
};

const USAGE: &str = "usage: cargo xtask histories [--seeds N] [--seed S]";

pub fn run(arguments: &[&str]) -> Result {
    let mut command = cargo_command();
    command.args(["test", "--locked", "--package", "kv-store", "--test", "histories"]);
    command.args(["--", "histories_", "--nocapture"]).env("KV_HISTORIES_SEEDS", "1000");
    for pair in arguments.chunks(2) {
        match pair {
            ["--seeds", count] => command.env("KV_HISTORIES_SEEDS", number(count)?),
            ["--seed", first] => command.env("KV_HISTORIES_SEED", number(first)?),
            _ => return Err(USAGE.to_owned()),
        };
    }
    run_command(&mut command)
}

fn number<'a>(argument: &&'a str) -> Result<&'a str> {
    argument.parse::<u64>().map(|_| *argument).map_err(|_| USAGE.to_owned())
}
