//! Crashing, failing, filling up and damaging the engine on a simulated disk.

use crate::{
    Result,
    command::{cargo_command, run as run_command},
};

const USAGE: &str = "usage: cargo xtask crash [--states N | --replay STATE] [--seed S]";

/// What is looked at.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    /// So many states, chosen by the seed where they are not all.
    states: u64,
    seed: u64,
    /// Only this one, as a failure has printed it.
    replay: Option<&'a str>,
}

/// How many states a run looks at that is not told otherwise: enough for all phases that end, and about as many crashes.
const STATES: u64 = 500_000;

pub fn run(arguments: &[&str]) -> Result {
    let mut command = cargo_command();
    command.args(["test", "--locked", "--release", "--package", "kv-store", "--test", "crash"]);
    let Wanted { states, seed, replay } = parse(arguments)?;
    command.env("KV_CRASH_STATES", states.to_string()).env("KV_CRASH_SEED", seed.to_string());
    match replay {
        Some(state) => command.env("KV_CRASH_REPLAY", state),
        None => command.env_remove("KV_CRASH_REPLAY"),
    };
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
    if states.is_some() && replay.is_some() {
        return Err(format!("a replay is of one state; {USAGE}"));
    }
    Ok(Wanted { states: states.unwrap_or(STATES), seed: seed.unwrap_or_default(), replay })
}

/// A decimal number.
fn number(name: &str, text: &str) -> Result<u64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_decimal)
        .ok_or_else(|| format!("{name} takes a decimal number below 2^64, not {text:?}; {USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::{STATES, Wanted, parse};

    #[test]
    fn arguments_are_understood_or_refused() {
        assert_eq!(parse(&[]), Ok(Wanted { states: STATES, seed: 0, replay: None }));
        assert_eq!(parse(&["--seed", "7", "--states", "10"]), Ok(Wanted { states: 10, seed: 7, replay: None }));
        let replay = Some("store@1:killed:everything");
        assert_eq!(
            parse(&["--replay", "store@1:killed:everything", "--seed", "7"]),
            Ok(Wanted { states: STATES, seed: 7, replay })
        );
        for bad in [
            &["--states"][..],
            &["--states", "many"],
            &["--states", "+1"],
            &["--states", "99999999999999999999"],
            &["--seed", "0x1"],
            &["--seed", "1", "--seed", "1"],
            &["--replay", "x", "--states", "1"],
            &["faster"],
        ] {
            assert!(parse(bad).is_err_and(|message| message.contains("usage: ")), "{bad:?}");
        }
    }
}
