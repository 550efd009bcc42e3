//! Crashing, failing, filling up and damaging the engine on a simulated disk.

use crate::{
    Result,
    command::{cargo_command, run as run_command},
};

const USAGE: &str = "usage: cargo xtask crash [--states N] [--seed S] | --replay LINE";

/// What is looked at.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    /// So many states, chosen by the seed where they are not all.
    Campaign { states: u64, seed: u64 },
    /// The state that a failure has printed.
    Replay(&'a str),
}

/// How many states a run looks at that is not told otherwise.
const STATES: u64 = 400_000;

pub fn run(arguments: &[&str]) -> Result {
    let mut command = cargo_command();
    command.args(["test", "--locked", "--release", "--package", "kv-store", "--test", "crash"]);
    match parse(arguments)? {
        Wanted::Campaign { states, seed } => {
            command.env("KV_CAMPAIGN_STATES", states.to_string()).env("KV_CAMPAIGN_SEED", seed.to_string());
        }
        Wanted::Replay(line) => {
            command.env("KV_CAMPAIGN_REPLAY", line);
        }
    }
    run_command(command.args(["--", "--nocapture", "campaign"]))
}

fn parse<'a>(arguments: &[&'a str]) -> Result<Wanted<'a>> {
    let (mut states, mut seed, mut replay) = (None, None, None);
    let mut arguments = arguments.iter();
    while let Some(&name) = arguments.next() {
        let mut value = || arguments.next().copied().ok_or_else(|| format!("{name} needs a value; {USAGE}"));
        let is_new = match name {
            "--states" => states.replace(number(name, value()?)?).is_none(),
            "--seed" => seed.replace(number(name, value()?)?).is_none(),
            "--replay" => replay.replace(value()?).is_none(),
            _ => return Err(format!("cannot understand {name:?}; {USAGE}")),
        };
        if !is_new {
            return Err(format!("{name} was given twice; {USAGE}"));
        }
    }
    match (states, seed, replay) {
        (None, None, Some(line)) => Ok(Wanted::Replay(line)),
        (_, _, Some(_)) => Err(format!("a line to replay says everything; {USAGE}")),
        (states, seed, None) => {
            Ok(Wanted::Campaign { states: states.unwrap_or(STATES), seed: seed.unwrap_or_default() })
        }
    }
}

/// A decimal number.
fn number(name: &str, text: &str) -> Result<u64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal).ok_or_else(|| format!("{name} {text} is no decimal number; {USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::{STATES, Wanted, parse};

    #[test]
    fn arguments_are_understood_or_refused() {
        assert_eq!(parse(&[]), Ok(Wanted::Campaign { states: STATES, seed: 0 }));
        assert_eq!(parse(&["--seed", "7", "--states", "10"]), Ok(Wanted::Campaign { states: 10, seed: 7 }));
        assert_eq!(
            parse(&["--replay", "0/store@1:killed:everything"]),
            Ok(Wanted::Replay("0/store@1:killed:everything"))
        );
        for bad in [
            &["--states"][..],
            &["--states", "many"],
            &["--states", "+1"],
            &["--states", "99999999999999999999"],
            &["--seed", "0x1"],
            &["--seed", "1", "--seed", "1"],
            &["--replay", "x", "--seed", "1"],
            &["faster"],
        ] {
            assert!(parse(bad).is_err_and(|message| message.contains("usage: ")), "{bad:?}");
        }
    }
}
