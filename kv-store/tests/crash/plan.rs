//! How many states a run checks, which of them, and how the phases share them.

use std::{env, fmt, str::FromStr};

/// How many states a run checks by default.
const STATES: u64 = 6_000;

/// What a run is asked to do.
pub struct Plan {
    pub states_max: u64,
    pub seed: u64,
    pub part: RunPart,
    pub coverage: CoverageMode,
    /// How many states the phases so far have planned, all parts together.
    planned: u64,
}

/// How the coverage of combinations is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum CoverageMode {
    Summary,
    /// A combination that was not reached is an error.
    Check,
    /// The same, and all counts are printed.
    Table,
}

/// One of `of` equal parts of everything, counted from 1. No two parts have a state in common, and
/// together they have all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPart {
    pub number: u64,
    pub of: u64,
}

impl RunPart {
    const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether the item with this number, counted from 0, belongs to the part.
    pub fn has(self, number: u64) -> bool {
        number % self.of == self.number - 1
    }

    /// The items that belong to the part.
    pub fn of<T>(self, things: Vec<T>) -> Vec<T> {
        (0..).zip(things).filter(|(number, _)| self.has(*number)).map(|(_, thing)| thing).collect()
    }
}

impl FromStr for RunPart {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, of) = text.split_once('/').ok_or(())?;
        let part = Self { number: number.parse().map_err(drop)?, of: of.parse().map_err(drop)? };
        if (1..=part.of).contains(&part.number) { Ok(part) } else { Err(()) }
    }
}

impl fmt::Display for RunPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {}", self.number, self.of)
    }
}

impl Plan {
    /// `KV_CRASH_STATES`, `KV_CRASH_SEED`: numbers, in decimal; `KV_CRASH_PART`: as in `1/4`;
    /// `KV_CRASH_COVERAGE`: `check` or `table`.
    ///
    /// # Panics
    /// If one of them cannot be parsed.
    pub fn from_env() -> Self {
        Self {
            states_max: parsed("KV_CRASH_STATES").unwrap_or(STATES),
            seed: parsed("KV_CRASH_SEED").unwrap_or(0),
            part: parsed("KV_CRASH_PART").unwrap_or(RunPart::WHOLE),
            coverage: parsed("KV_CRASH_COVERAGE").unwrap_or(CoverageMode::Summary),
            planned: 0,
        }
    }

    /// The number of states that this percentage of all states is.
    pub fn share(&self, percent: u64) -> u64 {
        self.states_max * percent / 100
    }

    /// What is left to be planned.
    pub fn left(&self) -> u64 {
        self.states_max.saturating_sub(self.planned)
    }

    /// Plans about `states` states for a phase, and returns how many of them belong to this part.
    pub fn take(&mut self, states: u64) -> u64 {
        self.planned += states;
        states / self.part.of
    }
}

impl FromStr for CoverageMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "check" => Ok(Self::Check),
            "table" => Ok(Self::Table),
            _ => Err(()),
        }
    }
}

fn parsed<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} cannot be parsed: {text:?}")))
}
