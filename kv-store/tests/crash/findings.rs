//! Violations, and how much was checked.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::coverage::Coverage;

/// How many violations are printed in full.
const PRINTED_MAX: usize = 20;

/// The result of a check.
pub type Verdict<T = ()> = Result<T, Violation>;

/// A broken promise.
#[derive(Debug)]
pub struct Violation {
    kind: ViolationKind,
    what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ViolationKind {
    /// Acknowledged data is missing or wrong, and no error is reported.
    SilentLoss,
    /// A sound store was refused.
    FalseRefusal,
    Panic,
    /// Any other wrong answer: an error of the wrong type, or damage that is not found or does not
    /// exist.
    WrongAnswer,
}

impl Violation {
    pub fn loss(what: String) -> Self {
        Self { kind: ViolationKind::SilentLoss, what }
    }

    pub fn refusal(what: &str, error: &kv_store::Error) -> Self {
        Self { kind: ViolationKind::FalseRefusal, what: format!("{what}: {}", error.chain()) }
    }

    pub fn wrong(what: String) -> Self {
        Self { kind: ViolationKind::WrongAnswer, what }
    }

    fn panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self { kind: ViolationKind::Panic, what: format!("panic: {}", text.unwrap_or("of unknown cause")) }
    }
}

/// What a phase checked and found.
pub struct Findings {
    /// Counts the combinations that are reached.
    pub coverage: Arc<Coverage>,
    name: &'static str,
    seed: u64,
    begun: Instant,
    /// About how many states are planned.
    planned: u64,
    states: AtomicU64,
    violations: Mutex<Vec<ViolationKind>>,
}

/// How often progress is printed, in states.
const PROGRESS_STATES: u64 = 50_000;

impl Findings {
    pub fn new(name: &'static str, seed: u64, planned: u64, coverage: &Arc<Coverage>) -> Self {
        Self {
            coverage: Arc::clone(coverage),
            name,
            seed,
            planned,
            begun: Instant::now(),
            states: AtomicU64::new(0),
            violations: Mutex::default(),
        }
    }

    pub fn is_clean(&self) -> bool {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Checks one state, and records a violation. `case` names it for a replay.
    pub fn examine<T>(&self, case: &dyn fmt::Display, check: impl FnOnce() -> Verdict<T>) -> Option<T> {
        let states = self.states.fetch_add(1, Ordering::Relaxed) + 1;
        if states.is_multiple_of(PROGRESS_STATES) {
            self.print_progress(states);
        }
        self.run(case, check)
    }

    /// Runs something that does not count as a state.
    #[expect(clippy::print_stderr, reason = "a failing test says where it fails")]
    pub fn run<T>(&self, case: &dyn fmt::Display, check: impl FnOnce() -> Verdict<T>) -> Option<T> {
        let verdict = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| Err(Violation::panic(&*panic)));
        let violation = match verdict {
            Ok(value) => return Some(value),
            Err(violation) => violation,
        };
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        if violations.len() < PRINTED_MAX {
            let Violation { kind, what } = &violation;
            eprintln!("{kind:?}: {what}\nin the state KV_CRASH_SEED={} KV_CRASH_REPLAY='{case}'", self.seed);
        }
        violations.push(violation.kind);
        None
    }

    #[expect(clippy::print_stderr, reason = "a long run shows its progress")]
    fn print_progress(&self, states: u64) {
        let Self { name, planned, begun, .. } = self;
        eprintln!("{name}: {states} of about {planned} states, after {:.0} s", begun.elapsed().as_secs_f64());
    }

    /// Prints the simplest state that shows something like the first violation.
    #[expect(clippy::print_stderr, reason = "a failing test says where it fails")]
    pub fn print_simplest(&self, case: &dyn fmt::Display) {
        eprintln!("the simplest state like the first of these: KV_CRASH_SEED={} KV_CRASH_REPLAY='{case}'", self.seed);
    }

    /// Ends the phase.
    pub fn into_row(self) -> Row {
        let violations = self.violations.into_inner().unwrap_or_else(PoisonError::into_inner);
        let states = self.states.into_inner();
        Row { name: self.name, states, violations, time: self.begun.elapsed() }
    }
}

/// A row of the table.
pub struct Row {
    name: &'static str,
    states: u64,
    violations: Vec<ViolationKind>,
    time: Duration,
}

impl Row {
    /// The sum of all rows.
    pub fn total(rows: &[Self]) -> Self {
        Self {
            name: "all",
            states: rows.iter().map(|row| row.states).sum(),
            violations: rows.iter().flat_map(|row| row.violations.iter().copied()).collect(),
            time: rows.iter().map(|row| row.time).sum(),
        }
    }

    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    pub const HEADINGS: &str =
        "phase                          states  silent losses  false refusals  panics  wrong answers  seconds";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kind| self.violations.iter().filter(|found| **found == kind).count();
        write!(
            f,
            "{:26} {:>10}  {:>13}  {:>14}  {:>6}  {:>13}  {:>7.1}",
            self.name,
            self.states,
            count(ViolationKind::SilentLoss),
            count(ViolationKind::FalseRefusal),
            count(ViolationKind::Panic),
            count(ViolationKind::WrongAnswer),
            self.time.as_secs_f64()
        )
    }
}
