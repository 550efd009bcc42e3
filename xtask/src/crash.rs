//! Runs the engine with crashes, failures, full disks and damage on a simulated disk.

use std::process::Command;

use crate::{
    Result,
    command::{cargo_command, run as run_command},
};

const USAGE: &str = "usage: cargo xtask crash [--states N [--part I/M] [--coverage] | --replay STATE] [--seed S]";

/// What to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted<'a> {
    /// How many states to try. If there are more, the seed chooses among them.
    states: u64,
    seed: u64,
    /// Try only this state, in the form that a failure has printed.
    replay: Option<&'a str>,
    /// Only one of several parts, as in `1/4`. No two parts have a state in common, and together
    /// they have all.
    part: Option<&'a str>,
    /// Whether to print the table of all combinations that were reached.
    coverage: bool,
}

/// How many states a run tries by default: enough to finish all phases that can be finished, and
/// about as many crashes again.
const STATES: u64 = 500_000;

pub fn run(arguments: &[&str]) -> Result {
    let mut command = cargo_command();
    command.args(["test", "--locked", "--release", "--package", "kv-store", "--test", "crash"]);
    let wanted = parse(arguments)?;
    let Wanted { states, seed, replay, part, .. } = wanted;
    command.env("KV_CRASH_STATES", states.to_string()).env("KV_CRASH_SEED", seed.to_string());
    set(&mut command, "KV_CRASH_REPLAY", replay);
    set(&mut command, "KV_CRASH_PART", part);
    set(&mut command, "KV_CRASH_COVERAGE", coverage(&wanted));
    run_command(command.args(["--", "--nocapture", "campaign"]))
}

fn set(command: &mut Command, name: &str, value: Option<&str>) {
    match value {
        Some(value) => command.env(name, value),
        None => command.env_remove(name),
    };
}

/// A whole run must reach every combination of verbs, states and faults. A small run or a part of
/// one cannot.
fn coverage(wanted: &Wanted<'_>) -> Option<&'static str> {
    match wanted {
        Wanted { coverage: true, .. } => Some("table"),
        Wanted { states: STATES.., part: None, replay: None, .. } => Some("check"),
        _ => None,
    }
}

fn parse<'a>(arguments: &[&'a str]) -> Result<Wanted<'a>> {
    let (mut states, mut seed, mut replay, mut part, mut coverage) = (None, None, None, None, None);
    let mut arguments = arguments.iter();
    while let Some(&name) = arguments.next() {
        let mut value = || arguments.next().copied().ok_or_else(|| format!("{name} needs a value; {USAGE}"));
        let is_new = match name {
            "--states" => states.replace(number(name, value()?)?).is_none(),
            "--seed" => seed.replace(number(name, value()?)?).is_none(),
            "--replay" => replay.replace(value()?).is_none(),
            "--part" => part.replace(parts(value()?)?).is_none(),
            "--coverage" => coverage.replace(true).is_none(),
            _ => return Err(format!("cannot understand {name:?}; {USAGE}")),
        };
        if !is_new {
            return Err(format!("{name} was given twice; {USAGE}"));
        }
    }
    let of_many = states.is_some() || part.is_some() || coverage.is_some();
    if of_many && replay.is_some() {
        return Err(format!("--replay tries one state, without these options; {USAGE}"));
    }
    let (states, seed) = (states.unwrap_or(STATES), seed.unwrap_or_default());
    Ok(Wanted { states, seed, replay, part, coverage: coverage.is_some() })
}

/// Two numbers as in `1/4`.
fn parts(text: &str) -> Result<&str> {
    let numbers =
        text.split_once('/').and_then(|(part, of)| Some((part.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
    match numbers {
        Some((part, of)) if (1..=of).contains(&part) => Ok(text),
        _ => Err(format!("--part takes two numbers such as 1/4, not {text:?}; {USAGE}")),
    }
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
    use super::{STATES, Wanted, coverage, parse};

    #[test]
    fn arguments_are_understood_or_refused() {
        let whole = Wanted { states: STATES, seed: 0, replay: None, part: None, coverage: false };
        assert_eq!(parse(&[]), Ok(whole));
        assert_eq!(coverage(&whole), Some("check"));
        assert_eq!(parse(&["--seed", "7", "--states", "10"]), Ok(Wanted { states: 10, seed: 7, ..whole }));
        assert_eq!(coverage(&Wanted { states: 10, ..whole }), None);
        let part = Wanted { part: Some("2/4"), ..whole };
        assert_eq!(parse(&["--part", "2/4"]), Ok(part));
        assert_eq!(coverage(&part), None);
        assert_eq!(parse(&["--coverage"]), Ok(Wanted { coverage: true, ..whole }));
        assert_eq!(coverage(&Wanted { coverage: true, ..whole }), Some("table"));
        let replay = Some("store@1:killed:everything");
        assert_eq!(
            parse(&["--replay", "store@1:killed:everything", "--seed", "7"]),
            Ok(Wanted { seed: 7, replay, ..whole })
        );
        for bad in [
            &["--states"][..],
            &["--states", "many"],
            &["--states", "+1"],
            &["--states", "99999999999999999999"],
            &["--seed", "0x1"],
            &["--seed", "1", "--seed", "1"],
            &["--replay", "x", "--states", "1"],
            &["--replay", "x", "--part", "1/2"],
            &["--part", "0/2"],
            &["--part", "3/2"],
            &["--part", "2"],
            &["--coverage", "--coverage"],
            &["faster"],
        ] {
            assert!(parse(bad).is_err_and(|message| message.contains("usage: ")), "{bad:?}");
        }
    }
}
