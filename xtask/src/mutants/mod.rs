//! Shows that the tests can fail: every deliberately broken variant of the software must be caught by one of them.
//!
//! There are two kinds. The *flawed backends* live in kv-testkit's tests, which run the suites over them. The *seeded bugs* are edits of
//! the real code, kept in `xtask/mutants/` as text (its README says how to add one): each is made in a copy of the workspace, the tests that
//! should notice are run, and it is taken back.

mod backends;
mod libtest;
mod mutant;
mod testing;
mod workspace;

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{Result, metadata};
use libtest::Outcome;
use mutant::Mutant;
use testing::{Selection, Testing};
use workspace::WorkspaceCopy;

/// How long the sound software may take for all tests that are named for one test binary.
const SOUND_LIMIT: Duration = Duration::from_secs(900);
/// How long a broken variant may take, unless a hang is what it is to be caught by.
const LIMIT: Duration = Duration::from_secs(300);

/// What became of a variant.
#[derive(Debug)]
enum Verdict {
    /// By which test.
    Caught(String),
    Missed(String),
    /// It could not be tried: the table has to be mended.
    Error(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught(by) => write!(f, "caught by {by}"),
            Self::Missed(why) => write!(f, "MISSED: {why}"),
            Self::Error(message) => write!(f, "ERROR: {message}"),
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments<'a> {
    names: Vec<&'a str>,
    quick: bool,
    list: bool,
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self> {
        let mut parsed = Self::default();
        for &argument in arguments {
            match argument {
                "--quick" => parsed.quick = true,
                "--list" => parsed.list = true,
                option if option.starts_with('-') => {
                    return Err(format!(
                        "there is no option {option}; usage: cargo xtask mutants [NAME]... [--quick] [--list]"
                    ));
                }
                name => parsed.names.push(name),
            }
        }
        Ok(parsed)
    }

    /// The mutants that are asked for.
    fn select(&self, mutants: Vec<Mutant>) -> Vec<Mutant> {
        let wanted = |mutant: &Mutant| {
            (!self.quick || mutant.quick) && (self.names.is_empty() || self.names.contains(&mutant.name.as_str()))
        };
        mutants.into_iter().filter(wanted).collect()
    }
}

pub fn run(arguments: &[&str]) -> Result {
    let arguments = Arguments::parse(arguments)?;
    let all = mutant::read_all(&crate::root().join("xtask/mutants"))?;
    let names: Vec<String> = all.iter().map(|mutant| mutant.name.clone()).collect();
    let mutants = arguments.select(all);
    if arguments.list {
        mutants.iter().for_each(|mutant| println!("{mutant}"));
        return Ok(());
    }

    let start = Instant::now();
    let folder = metadata::workspace()?.target_directory.join("mutants");
    let testing = Testing {
        sources: WorkspaceCopy::refresh(crate::root(), folder.join("source"))?,
        target: folder.join("target"),
    };
    let mut tally = Tally::default();
    let backends: Vec<&str> =
        arguments.names.iter().copied().filter(|name| !names.iter().any(|known| known == name)).collect();
    if arguments.names.is_empty() || !backends.is_empty() {
        backends::run(&testing, &backends, &mut tally)?;
    }
    if let Some(unknown) = backends.iter().find(|name| !tally.names.iter().any(|known| known == *name)) {
        return Err(format!("there is no variant {unknown:?}; see cargo xtask mutants --list"));
    }
    check_sound(&testing, &mutants)?;
    for mutant in &mutants {
        let begun = Instant::now();
        let verdict = try_mutant(&testing, mutant).unwrap_or_else(Verdict::Error);
        tally.note(&mutant.name, &verdict, Some(begun.elapsed()));
    }
    tally.finish(start.elapsed())
}

/// Without a bug every test that is named must pass, or it would "catch" everything. And it must be there.
fn check_sound(testing: &Testing, mutants: &[Mutant]) -> Result {
    for selection in testing::merged(mutants.iter().map(|mutant| &mutant.test)) {
        let begun = Instant::now();
        let report = testing.test(&selection, SOUND_LIMIT)?;
        if report.outcome != Outcome::Passed {
            return Err(format!("without any bug, {} of {selection}", report.outcome));
        }
        for mutant in mutants.iter().filter(|mutant| mutant.test.is_of_same_binary(&selection)) {
            if let Some(filter) =
                mutant.test.filters.iter().find(|filter| !report.passed.iter().any(|t| t.contains(*filter)))
            {
                return Err(format!("{}: there is no test {filter:?} among those of {selection}", mutant.name));
            }
        }
        println!(
            "without any bug {} tests pass: {selection} ({:.1} s)",
            report.passed.len(),
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn try_mutant(testing: &Testing, mutant: &Mutant) -> Result<Verdict> {
    let limit = mutant.hangs_after_s.map_or(LIMIT, Duration::from_secs);
    let report = testing.sources.with_edit(mutant, || testing.test(&mutant.test, limit))??;
    let Selection { package, .. } = &mutant.test;
    Ok(match report.outcome {
        Outcome::Failed(test) => Verdict::Caught(format!("{package} {test}")),
        Outcome::Died(status) => Verdict::Caught(format!("{package}: its tests ended with {status}")),
        Outcome::TimedOut if mutant.hangs_after_s.is_some() => {
            Verdict::Caught(format!("{package}: its tests hang, stopped after {} s", limit.as_secs()))
        }
        Outcome::TimedOut => Verdict::Error(format!("undecided after {} s: {}", limit.as_secs(), mutant.test)),
        Outcome::Passed => Verdict::Missed(format!("all {} tests pass: {}", report.passed.len(), mutant.test)),
    })
}

/// Counts and prints verdicts.
#[derive(Default)]
struct Tally {
    names: Vec<String>,
    uncaught: Vec<String>,
}

impl Tally {
    fn note(&mut self, name: &str, verdict: &Verdict, time: Option<Duration>) {
        let time = time.map(|time| format!(" ({:.1} s)", time.as_secs_f64())).unwrap_or_default();
        println!("{name} {verdict}{time}");
        self.names.push(name.to_owned());
        if !matches!(verdict, Verdict::Caught(_)) {
            self.uncaught.push(name.to_owned());
        }
    }

    fn finish(&self, time: Duration) -> Result {
        println!(
            "{} of {} variants caught ({:.0} s)",
            self.names.len() - self.uncaught.len(),
            self.names.len(),
            time.as_secs_f64()
        );
        if self.uncaught.is_empty() { Ok(()) } else { Err(format!("not caught: {}", self.uncaught.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_names_and_two_options() {
        let expected = Arguments { names: vec!["one", "two"], quick: true, list: false };
        assert_eq!(Arguments::parse(&["one", "--quick", "two"]), Ok(expected));
        assert_eq!(Arguments::parse(&[]), Ok(Arguments::default()));
        assert!(Arguments::parse(&["--fast"]).unwrap_err().contains("--fast"));
    }

    #[test]
    fn what_is_missed_or_cannot_be_tried_fails() {
        let mut tally = Tally::default();
        tally.note("one", &Verdict::Caught("a test".to_owned()), None);
        assert_eq!(tally.finish(Duration::ZERO), Ok(()));
        tally.note("two", &Verdict::Missed("all pass".to_owned()), None);
        tally.note("three", &Verdict::Error("it does not compile".to_owned()), None);
        assert_eq!(tally.finish(Duration::ZERO), Err("not caught: two, three".to_owned()));
    }
}
