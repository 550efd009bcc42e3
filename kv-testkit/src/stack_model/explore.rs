//! Tries all sequences of actions within bounds, the shortest first.

use std::{collections::HashSet, rc::Rc};

use super::{Action, Flaw, State, disk::Disk};

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most records.
    pub records: u8,
    /// How many kinds of records there are: puts of one key, deletions of it, puts of the other.
    pub kinds: usize,
    /// The highest number of a part or a manifest. A checkpoint and a merge each take two.
    pub numbers: u8,
    /// How often the store may crash.
    pub crashes: u8,
    /// How many parts may be damaged.
    pub damages: u8,
    /// Whether a position may be pinned.
    pub pins: bool,
    /// The most states.
    pub states: usize,
}

impl Bounds {
    /// What a test tries in some seconds.
    pub const SMALL: Self =
        Self { records: 2, kinds: 3, numbers: 6, crashes: 1, damages: 1, pins: false, states: usize::MAX };
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The states.
    pub states: usize,
    /// The actions between them.
    pub transitions: usize,
    /// Openings that used the newest checkpoint, or none where there is none.
    pub opened_newest: usize,
    /// Openings that used an older checkpoint, or the log alone, instead of a bad one.
    pub fell_back: usize,
    /// Openings of a damaged checkpoint.
    pub opened_damaged: usize,
    /// Whether there were no more states within the bounds, other than that of their number.
    pub is_complete: bool,
}

/// A promise that is broken, and the shortest way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is wrong.
    pub what: &'static str,
    /// The actions that lead there, from an empty disk.
    pub steps: Vec<Action>,
}

/// Tries every sequence of actions within the bounds.
///
/// # Errors
/// The first broken promise. No other way to a broken promise has fewer steps.
pub fn explore(bounds: Bounds, flaw: Flaw) -> Result<Reached, Found> {
    let mut explored = Explored::new();
    let mut reached = Reached { is_complete: true, ..Reached::default() };
    let mut at = 0;
    while at < explored.states.len() {
        let state = Rc::clone(&explored.states[at]);
        for action in state.actions(bounds, flaw) {
            let checked = state.after(action, flaw).and_then(|next| next.check().map(|()| next));
            let next = checked.map_err(|what| Found { what, steps: explored.steps_to(at, action) })?;
            reached.transitions += 1;
            if action == Action::Open {
                reached.count_opening(&next);
            }
            if explored.states.len() < bounds.states {
                explored.add(next, at, action);
            } else if !explored.known.contains(&next) {
                reached.is_complete = false;
            }
        }
        at += 1;
    }
    reached.states = explored.states.len();
    Ok(reached)
}

impl Reached {
    fn count_opening(&mut self, state: &State) {
        let Some(open) = &state.open else { return };
        let is_flagged = |part: &u8| state.disk.flag.is_some_and(|flag| flag.part == *part);
        if open.parts.iter().any(is_flagged) && !state.disk.is_sound(&open.parts) {
            self.opened_damaged += 1;
        } else if open.bad.is_empty() {
            self.opened_newest += 1;
        } else {
            self.fell_back += 1;
        }
    }
}

impl State {
    /// An empty disk.
    pub fn empty() -> Self {
        let disk = Disk::default();
        Self { disk, open: None, acknowledged: 0, must_heal: false, compacted: 0, crashes: 0, damages: 0 }
    }
}

/// The states that were found, and how.
struct Explored {
    states: Vec<Rc<State>>,
    /// From which state, and by what, each was found.
    from: Vec<Option<(usize, Action)>>,
    known: HashSet<Rc<State>>,
}

impl Explored {
    fn new() -> Self {
        let empty = Rc::new(State::empty());
        Self { states: vec![Rc::clone(&empty)], from: vec![None], known: HashSet::from([empty]) }
    }

    fn add(&mut self, state: State, from: usize, by: Action) {
        let state = Rc::new(state);
        if self.known.insert(Rc::clone(&state)) {
            self.states.push(state);
            self.from.push(Some((from, by)));
        }
    }

    fn steps_to(&self, mut at: usize, last: Action) -> Vec<Action> {
        let mut steps = vec![last];
        while let Some((from, by)) = self.from[at] {
            steps.push(by);
            at = from;
        }
        steps.reverse();
        steps
    }
}
