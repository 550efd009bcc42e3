//! Runs test binaries, and reads what they print.

use std::{
    fmt,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;

/// How a run of tests ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// The first test that failed.
    Failed(String),
    /// The process ended in another way, such as an abort. Which test ended it is known only if
    /// tests run one by one.
    Died(ExitStatus, Option<String>),
    TimedOut,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("all tests pass"),
            Self::Failed(test) => write!(f, "{test} fails"),
            Self::Died(status, _) => write!(f, "the tests end with {status}: those"),
            Self::TimedOut => f.write_str("the time limit is over for those"),
        }
    }
}

/// The result of a run of tests.
#[derive(Debug)]
pub struct Report {
    pub outcome: Outcome,
    /// The tests that passed before the run ended.
    pub passed: Vec<String>,
    /// Every line that was printed.
    pub lines: Vec<String>,
}

/// The name of a test and whether it passed, if the line reports that. An ignored test has no
/// result.
fn verdict(line: &str) -> Option<(&str, bool)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    match result.split(' ').next() {
        Some("ok") => Some((name, true)),
        Some("FAILED") => Some((name, false)),
        _ => None,
    }
}

/// The name of a test that has begun and not ended, if the line reports that.
fn begun(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ")
}

/// Runs a test binary until its end, the first test that fails, or the time limit, and kills
/// everything that it started.
pub fn run(command: &mut Command, limit: Duration) -> Result<Report> {
    let cannot = |error| format!("cannot run the tests: {error}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(cannot)?;
    let mut report = Report { outcome: Outcome::Passed, passed: Vec::new(), lines: Vec::new() };
    let cut_short = watch(&mut child, Instant::now() + limit, &mut report);
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // This also kills what a test started and left running. An error means that all have ended
        // already.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(cannot)?;
    report.outcome = match cut_short {
        Some(outcome) => outcome,
        None if status.success() => Outcome::Passed,
        None => Outcome::Died(status, report.lines.last().and_then(|line| begun(line)).map(str::to_owned)),
    };
    Ok(report)
}

/// Reads what is printed. Returns why the run must be stopped, or `None` at its end.
fn watch(child: &mut Child, deadline: Instant, report: &mut Report) -> Option<Outcome> {
    let printed = BufReader::new(child.stdout.take()?);
    let (sender, lines) = mpsc::channel();
    // The thread ends when the pipe ends, or when the receiver is gone.
    thread::spawn(move || printed.lines().map_while(std::result::Result::ok).try_for_each(|line| sender.send(line)));
    loop {
        let line = match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Some(Outcome::TimedOut),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        match verdict(&line) {
            Some((test, false)) => return Some(Outcome::Failed(test.to_owned())),
            Some((test, true)) => report.passed.push(test.to_owned()),
            None => {}
        }
        report.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_harness_are_told_from_others() {
        assert_eq!(verdict("test crash::one ... FAILED"), Some(("crash::one", false)));
        assert_eq!(verdict("test crash::two ... ok"), Some(("crash::two", true)));
        assert_eq!(verdict("test crash::two ... ok <1.234s>"), Some(("crash::two", true)));
        assert_eq!(verdict("test three - should panic ... FAILED"), Some(("three", false)));
        for other in ["", "test result: FAILED. 3 passed", "running 3 tests", "test four ... ignored, slow", "FAILED"] {
            assert_eq!(verdict(other), None, "{other}");
        }
        assert_eq!(verdict("test five has been running for over 60 seconds"), None);
    }

    fn sh(script: &str, limit: Duration) -> Report {
        run(Command::new("sh").args(["-c", script]), limit).unwrap()
    }

    #[test]
    fn the_first_failure_ends_the_run_and_what_it_started() {
        let start = Instant::now();
        let report =
            sh("echo test a ... ok; echo test b ... FAILED; echo test c ... FAILED; sleep 600 & sleep 600", LONG);
        assert_eq!((report.outcome, report.passed), (Outcome::Failed("b".to_owned()), vec!["a".to_owned()]));
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn an_end_without_a_failed_test_is_told_from_success_and_from_a_hang() {
        assert_eq!(sh("echo test a ... ok", LONG).outcome, Outcome::Passed);
        assert!(matches!(sh("echo test a ... ok; kill -ABRT $$", LONG).outcome, Outcome::Died(_, None)));
        let died = sh("echo test a ... ok; printf 'test b ... '; kill -ABRT $$", LONG).outcome;
        assert!(matches!(died, Outcome::Died(_, Some(test)) if test == "b"));
        assert_eq!(sh("sleep 600", Duration::from_millis(50)).outcome, Outcome::TimedOut);
    }

    const LONG: Duration = Duration::from_secs(500);
}
