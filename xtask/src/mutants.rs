//! Shows that the tests can fail: for each deliberately broken variant of the software, a test must
//! fail.
//!
//! There are two kinds of variants. The *flawed backends* are in kv-testkit's tests, which run the
//! suites over them. The *seeded bugs* are edits of the real code, kept as text in `xtask/mutants/`
//! (its README says how to add one). For each of them, this command makes the edit in a copy of the
//! workspace, runs the tests that should notice it, and undoes it.

mod backends;
mod libtest;
mod mutant;
mod selection;
mod testing;
mod workspace;

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{Result, metadata};
use libtest::{Outcome, Report};
use mutant::Mutant;
use selection::Selection;
use testing::Testing;
use workspace::WorkspaceCopy;

/// How long the software without a bug may take for all the tests of one test binary that the
/// tables name.
const SOUND_LIMIT: Duration = Duration::from_secs(900);
/// How long a broken variant may take, unless it is expected to hang.
const LIMIT: Duration = Duration::from_secs(300);

/// The result for a variant.
#[derive(Debug)]
enum Verdict {
    /// The test that caught it.
    Caught(String),
    Missed(String),
    /// It could not be tried: the table has to be corrected.
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

    /// The mutants that the arguments select.
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
    for tests in selection::merged(mutants.iter().map(|mutant| &mutant.test)) {
        let mutants: Vec<_> = mutants.iter().filter(|mutant| mutant.test.is_of_same_binary(&tests)).collect();
        try_all(&testing, &tests, &mutants, &mut tally);
    }
    tally.finish(start.elapsed())
}

/// Tries the mutants whose tests are among `tests`. Each of these tests must exist, and must pass
/// without a bug. A test that always fails would "catch" everything.
fn try_all(testing: &Testing, tests: &Selection, mutants: &[&Mutant], tally: &mut Tally) {
    let begun = Instant::now();
    let passed = match testing.test(tests, SOUND_LIMIT) {
        Ok(Report { outcome: Outcome::Passed, passed, .. }) => Ok(passed),
        Ok(report) => Err(format!("without any bug, {} of {tests}", report.outcome)),
        Err(error) => Err(error),
    };
    if let Ok(passed) = &passed {
        println!("without any bug {} tests pass: {tests} ({:.1} s)", passed.len(), begun.elapsed().as_secs_f64());
    }
    for mutant in mutants {
        let begun = Instant::now();
        let tried = passed.as_ref().map_err(Clone::clone).and_then(|passed| {
            let is_there = |filter: &&String| passed.iter().any(|test| test.contains(*filter));
            match mutant.test.filters.iter().find(|filter| !is_there(filter)) {
                Some(filter) => Err(format!("there is no test {filter:?} in {} {}", tests.package, tests.target)),
                None => try_mutant(testing, mutant),
            }
        });
        tally.note(&mutant.name, &tried.unwrap_or_else(Verdict::Error), Some(begun.elapsed()));
    }
}

fn try_mutant(testing: &Testing, mutant: &Mutant) -> Result<Verdict> {
    let limit = mutant.hangs_after_s.map_or(LIMIT, Duration::from_secs);
    let report = testing.sources.with_edit(mutant, || testing.test(&mutant.test, limit))??;
    let Selection { package, .. } = &mutant.test;
    Ok(match report.outcome {
        Outcome::Failed(test) => Verdict::Caught(format!("{package} {test}")),
        Outcome::Died(status, Some(test)) => Verdict::Caught(format!("{package} {test}, which ended with {status}")),
        Outcome::Died(status, None) => Verdict::Error(format!("the tests ended with {status}: {}", mutant.test)),
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
