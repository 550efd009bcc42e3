//! What the campaign has reached: which verb met which fault, in which state of log and
//! checkpoints.
//!
//! A campaign finds nothing where it never goes. So every combination is counted. In a run that
//! checks coverage, one that is never reached is an error, unless [`impossible`](crate::impossible)
//! says why it cannot or need not be reached.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::impossible::{why_maybe, why_not};

/// An enumeration with a name for each variant.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($variant),* }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),* })
            }
        }
    };
}

names! {
    /// What is done to the store.
    Verb {
        Open "open", Put "put", PutDeferred "put_deferred", PutIfAbsent "put_if_absent", Update "update",
        CompareAndSet "compare_and_set", Delete "delete", DeleteIfPresent "delete_if_present", Take "take",
        PopFirst "pop_first", PopLast "pop_last", Drain "drain", DeleteRange "delete_range",
        DeleteInSteps "delete_range_in_steps",
        Write "write", WriteDeferred "write_deferred", Transact "transact",
        TransactDeferred "transact_deferred", Create "create_collection", Drop "drop_collection",
        Clear "clear_collection", Rename "rename_collection", Wait "wait", Read "read", Feed "changes",
        Sync "sync", Background "background jobs", Checkpoint "checkpoint", Close "close",
    }
}

names! {
    /// The states of the log and the checkpoints. Several may hold at once.
    ///
    /// - fresh: nothing was ever logged.
    /// - sealed: the log was closed cleanly, and nothing was logged since.
    /// - torn: the last opening found a torn tail, or a power cut has just left one.
    /// - rolled: more than one segment is in use.
    /// - trimmed: the first segment was removed.
    /// - frozen: a checkpoint is in progress.
    /// - failed checkpoint: the last checkpoint failed.
    /// - damaged: the newest checkpoint was damaged.
    State {
        Fresh "fresh", Sealed "sealed", Torn "torn", Rolled "rolled", Trimmed "trimmed", Frozen "frozen",
        FailedCheckpoint "failed checkpoint", Damaged "damaged",
    }
}

names! {
    /// What the disk does.
    FaultKind {
        Eio "EIO", Enospc "ENOSPC", Eintr "EINTR", Short "short write", Empty "empty write",
        TornWrite "torn write", Enlarges "enlarging write", Forgets "forgetting sync",
        Misreads "lying read", FullDisk "full disk", Kill "kill", PowerCut "power cut",
        Flipped "flipped bit", Zeroed "zeroed", Swapped "swapped", Stale "stale", Astray "astray",
        Cut "cut", Missing "missing", Older "older file", Copied "copied file",
    }
}

impl FaultKind {
    /// Whether it happens to a disk at rest.
    pub fn is_damage(self) -> bool {
        self >= Self::Flipped
    }
}

/// The set of states that hold at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States(u8);

impl States {
    pub fn add(&mut self, state: State) {
        self.0 |= 1 << state as u8;
    }

    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.iter().copied().filter(move |state| self.0 & (1 << *state as u8) != 0)
    }
}

/// A verb, and the states that hold when it begins.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    pub verb: Verb,
    pub states: States,
}

/// The disk's operation at which each activity begins.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Vec<(u64, Activity)>);

impl Timeline {
    pub fn begin(&mut self, operation: u64, activity: Activity) {
        self.0.push((operation, activity));
    }

    /// The activity that this operation belongs to, and the operation with which it begins.
    /// Operations are counted from 0.
    pub fn at(&self, operation: u64) -> Option<(u64, Activity)> {
        self.0.iter().rfind(|(from, _)| *from <= operation).copied()
    }
}

const VERBS: usize = Verb::ALL.len();
const STATES: usize = State::ALL.len();
const FAULTS: usize = FaultKind::ALL.len();

/// Two things that were met together, or should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    StateFault(State, FaultKind),
    VerbFault(Verb, FaultKind),
    StateVerb(State, Verb),
}

impl Combination {
    pub fn all() -> impl Iterator<Item = Self> {
        let state_faults =
            State::ALL.iter().flat_map(|state| FaultKind::ALL.iter().map(|fault| Self::StateFault(*state, *fault)));
        let verb_faults =
            Verb::ALL.iter().flat_map(|verb| FaultKind::ALL.iter().map(|fault| Self::VerbFault(*verb, *fault)));
        let state_verbs =
            State::ALL.iter().flat_map(|state| Verb::ALL.iter().map(|verb| Self::StateVerb(*state, *verb)));
        state_faults.chain(verb_faults).chain(state_verbs)
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateFault(state, fault) => write!(f, "{fault} in the state \"{state}\""),
            Self::VerbFault(verb, fault) => write!(f, "{fault} at {verb}"),
            Self::StateVerb(state, verb) => write!(f, "{verb} in the state \"{state}\""),
        }
    }
}

/// How often each combination was reached.
#[derive(Debug)]
pub struct Coverage {
    state_faults: [[AtomicU64; FAULTS]; STATES],
    verb_faults: [[AtomicU64; FAULTS]; VERBS],
    state_verbs: [[AtomicU64; VERBS]; STATES],
}

impl Default for Coverage {
    fn default() -> Self {
        fn zeroes<const N: usize, const M: usize>() -> [[AtomicU64; M]; N] {
            std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)))
        }
        Self { state_faults: zeroes(), verb_faults: zeroes(), state_verbs: zeroes() }
    }
}

impl Coverage {
    /// Counts an activity.
    pub fn performed(&self, activity: Activity) {
        self.count_all(activity.states.iter().map(|state| Combination::StateVerb(state, activity.verb)));
    }

    /// Counts all activities of a timeline.
    pub fn performed_all(&self, timeline: &Timeline) {
        timeline.0.iter().for_each(|(_, activity)| self.performed(*activity));
    }

    /// Counts a fault during an activity.
    pub fn met(&self, activity: Activity, fault: FaultKind) {
        self.happened(activity.states, fault);
        self.count(Combination::VerbFault(activity.verb, fault));
    }

    /// Counts a fault in these states.
    pub fn happened(&self, states: States, fault: FaultKind) {
        self.count_all(states.iter().map(|state| Combination::StateFault(state, fault)));
    }

    /// Counts a verb that met what a fault had left.
    pub fn met_by(&self, verb: Verb, fault: FaultKind) {
        self.count(Combination::VerbFault(verb, fault));
    }

    fn count_all(&self, combinations: impl Iterator<Item = Combination>) {
        combinations.for_each(|combination| self.count(combination));
    }

    fn count(&self, combination: Combination) {
        self.counter(combination).fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, combination: Combination) -> &AtomicU64 {
        match combination {
            Combination::StateFault(state, fault) => &self.state_faults[state as usize][fault as usize],
            Combination::VerbFault(verb, fault) => &self.verb_faults[verb as usize][fault as usize],
            Combination::StateVerb(state, verb) => &self.state_verbs[state as usize][verb as usize],
        }
    }

    fn reached(&self, combination: Combination) -> u64 {
        self.counter(combination).load(Ordering::Relaxed)
    }

    /// Describes each combination that should have been reached and was not, and each that was
    /// reached although it is listed as impossible.
    pub fn wrong(&self) -> Vec<String> {
        let gap = |combination| match (self.reached(combination), why_not(combination)) {
            (0, None) if why_maybe(combination).is_none() => Some(format!("never reached: {combination}")),
            (1.., Some(why)) => Some(format!("reached, though listed as impossible ({why}): {combination}")),
            _ => None,
        };
        Combination::all().filter_map(gap).collect()
    }

    /// How many combinations were reached, how many are possible, and which one was reached least
    /// often.
    pub fn summary(&self) -> String {
        let must = |combination: &Combination| why_not(*combination).or(why_maybe(*combination)).is_none();
        let possible: Vec<_> = Combination::all().filter(must).collect();
        let reached = possible.iter().filter(|combination| self.reached(**combination) != 0).count();
        let least = possible.iter().min_by_key(|combination| self.reached(**combination));
        let least = least.map(|least| format!("; least often, {} times: {least}", self.reached(*least)));
        format!(
            "{reached} of {} combinations of verbs, states and faults were reached; {} more need not be{}",
            possible.len(),
            Combination::all().count() - possible.len(),
            least.unwrap_or_default()
        )
    }

    /// A table of all counts. `-` marks combinations that are impossible.
    pub fn table(&self) -> String {
        let faults =
            |at: &dyn Fn(FaultKind) -> Combination| FaultKind::ALL.iter().map(|fault| self.cell(at(*fault))).collect();
        let fault_names: Vec<_> = FaultKind::ALL.iter().map(ToString::to_string).collect();
        let verb_names: Vec<_> = Verb::ALL.iter().map(ToString::to_string).collect();
        let mut rows = vec![(String::new(), fault_names)];
        rows.extend(
            State::ALL.iter().map(|state| (state.to_string(), faults(&|fault| Combination::StateFault(*state, fault)))),
        );
        rows.extend(
            Verb::ALL.iter().map(|verb| (verb.to_string(), faults(&|fault| Combination::VerbFault(*verb, fault)))),
        );
        let mut text = table(&rows);
        let mut rows = vec![(String::new(), verb_names)];
        rows.extend(State::ALL.iter().map(|state| {
            let cells = Verb::ALL.iter().map(|verb| self.cell(Combination::StateVerb(*state, *verb)));
            (state.to_string(), cells.collect())
        }));
        text.push('\n');
        text.push_str(&table(&rows));
        text
    }

    fn cell(&self, combination: Combination) -> String {
        match (self.reached(combination), why_not(combination)) {
            (0, Some(_)) => "-".to_owned(),
            (count, _) => count.to_string(),
        }
    }
}

/// Formats a table with aligned columns.
fn table(rows: &[(String, Vec<String>)]) -> String {
    let width = |column: usize| rows.iter().map(|(_, cells)| cells[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows.first().map_or(0, |(_, cells)| cells.len())).map(width).collect();
    let heading = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, cells) in rows {
        text.push_str(&format!("{name:heading$}"));
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push('\n');
    }
    text
}
