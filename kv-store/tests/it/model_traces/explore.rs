//! Every step in every situation, within bounds.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use kv_testkit::stack_model::{Bounds, LookAtKey};

use super::{
    follower::{Follower, Situation, Step, Work},
    pausing::Point,
};

/// What was tried.
#[derive(Debug, Default)]
pub struct Covered {
    pub situations: usize,
    /// The steps that were taken, each in another situation or another step in the same one.
    pub steps: usize,
    /// How often a closed store was copied to get to a situation again.
    pub traces: usize,
    /// Where a write and a merge paused when a crash came.
    pub crashes: BTreeSet<[Option<Point>; 2]>,
    /// What is rare.
    pub seen: BTreeSet<&'static str>,
}

/// A way to a situation: some steps from a closed store.
struct Way {
    closed: Rc<Follower>,
    steps: Vec<Step>,
    to: Situation,
}

struct Exploration {
    bounds: Bounds,
    covered: Covered,
    /// The situations that were found, and the steps that were not taken there yet.
    found: HashMap<Situation, Vec<Step>>,
    /// Ways to situations in which there may be such steps.
    ways: Vec<Way>,
}

/// Takes every step that is possible within the bounds, in every situation that there is, from a
/// closed store on.
///
/// Two situations are the same if the model's states are, and the same work pauses at the same
/// points. A crash leaves a copy of the disk, so that the store itself can go on.
pub fn explore(closed: Follower, bounds: Bounds) -> Covered {
    let mut exploration = Exploration { bounds, covered: Covered::default(), found: HashMap::new(), ways: Vec::new() };
    exploration.begin_at(closed);
    while let Some(way) = exploration.ways.pop() {
        if !exploration.found[&way.to].is_empty() {
            exploration.go(way);
        }
    }
    exploration.covered.situations = exploration.found.len();
    exploration.covered
}

impl Exploration {
    fn begin_at(&mut self, closed: Follower) {
        let to = closed.situation();
        if !self.found.contains_key(&to) {
            self.found.insert(to.clone(), closed.possible(self.bounds));
            self.ways.push(Way { closed: Rc::new(closed), steps: Vec::new(), to });
        }
    }

    /// Goes to the end of a way, and from there on as long as there are steps that were not taken.
    fn go(&mut self, way: Way) {
        self.covered.traces += 1;
        let mut follower = way.closed.copy();
        way.steps.iter().for_each(|step| follower.take(step));
        let (closed, mut steps, mut at) = (Rc::clone(&way.closed), way.steps.clone(), way.to.clone());
        self.ways.push(way);
        while let Some(step) = self.found.get_mut(&at).and_then(Vec::pop) {
            self.covered.steps += 1;
            follower.take(&step);
            self.covered.note(&step, &follower);
            steps.push(step);
            at = follower.situation();
            if !self.found.contains_key(&at) {
                self.arrive(&follower, at.clone());
                self.ways.push(Way { closed: Rc::clone(&closed), steps: steps.clone(), to: at.clone() });
            }
        }
    }

    /// Notes which steps are possible in a new situation, and tries the crashes.
    fn arrive(&mut self, follower: &Follower, at: Situation) {
        self.found.insert(at, follower.possible(self.bounds));
        for crash in follower.crashes(self.bounds) {
            self.covered.steps += 1;
            self.covered.crashes.insert(Work::ALL.map(|work| follower.real.at(work)));
            self.begin_at(follower.crashed(crash));
        }
    }
}

impl Covered {
    fn note(&mut self, step: &Step, follower: &Follower) {
        let Some(open) = follower.states[0].look().open else { return };
        let damage_is_met = open.keys.iter().any(|key| matches!(key, LookAtKey::Damaged { is_lost: true, .. }));
        let whats = [
            ("two memtables are frozen", open.frozen == 2),
            ("an older checkpoint stands in", !open.bad.is_empty()),
            ("a value is lost", damage_is_met),
            ("removals stop", open.is_removal_stopped),
            ("a write and a merge", Work::ALL.iter().all(|work| follower.real.at(*work).is_some())),
            ("merged above the bottom", *step == Step::GoOn(Work::Merge) && open.parts == 2),
            ("compacted above a pin", *step == Step::Compact && follower.real.is_pinned()),
        ];
        self.seen.extend(whats.into_iter().filter(|(_, is_so)| *is_so).map(|(what, _)| what));
    }
}
