//! The steps that are possible next.

use kv_testkit::{
    sim::Survivors,
    stack_model::{Action, Bounds, KEYS, LookAtKey, LookInside, Record, State},
};

use super::{
    follower::{Crash, Follower, Step, Work, after, damaged, offers},
    pausing::Point,
};

/// The background merges nothing below this number of parts.
const MERGED_MIN: usize = 4;

impl Follower {
    /// Every step that is possible next within the bounds, in the model and with the real store.
    pub fn possible(&self, bounds: Bounds) -> Vec<Step> {
        let Some(open) = self.states[0].look().open else {
            let is_offered = |part: &usize| self.states.iter().all(|state| damaged(state, *part, bounds).is_some());
            let parts = (0..self.states[0].newest_stack().len()).filter(is_offered);
            return parts.map(Step::Damage).chain([Step::Open]).collect();
        };
        let mut steps = self.changes(&open, bounds);
        // While one work holds the lock on the directory of checkpoints, nothing else gets it.
        match Work::ALL.into_iter().find(|work| self.real.at(*work).is_some_and(Point::locks_directory)) {
            Some(holder) => steps.push(Step::GoOn(holder)),
            None => steps.extend(self.work(&open, bounds)),
        }
        // A removal goes on that was decided on before damage was met.
        if Work::ALL.iter().all(|work| self.real.at(*work) != Some(Point::Remove)) {
            steps.extend((0..KEYS).filter(|key| self.offers(Action::Read(*key), bounds)).map(Step::Read));
        }
        steps
    }

    /// The crashes that are possible within the bounds.
    pub fn crashes(&self, bounds: Bounds) -> Vec<Crash> {
        if !self.offers(Action::Kill, bounds) {
            return Vec::new();
        }
        let survivors = [Survivors::Nothing, Survivors::Everything, Survivors::Sample(self.seed())];
        [Crash::Kill].into_iter().chain(survivors.map(Crash::CutPower)).collect()
    }

    fn changes(&self, open: &LookInside, bounds: Bounds) -> Vec<Step> {
        // A deletion reads the key, and changes nothing if it is absent.
        let is_absent = |key: usize| !matches!(open.keys[key], LookAtKey::Value(Some(_)));
        let mut steps = Vec::new();
        for record in [Record::Put(0), Record::Delete(0), Record::Put(1)] {
            let is_vain = matches!(record, Record::Delete(key) if is_absent(key));
            steps.extend((!is_vain && self.offers(Action::Append(record), bounds)).then_some(Step::Append(record)));
        }
        let fills = self.real.freezes() && open.frozen < 2 && self.offers(Action::Append(Record::Put(0)), bounds);
        steps.extend(fills.then_some(Step::Fill));
        steps.extend(self.offers(Action::Sync, bounds).then_some(Step::Sync));
        steps
    }

    /// What takes the lock on the directory of checkpoints, or waits for it.
    fn work(&self, open: &LookInside, bounds: Bounds) -> Vec<Step> {
        let (paused, idle): (Vec<_>, Vec<_>) = Work::ALL.into_iter().partition(|work| self.real.at(*work).is_some());
        let mut steps: Vec<_> = paused.iter().copied().map(Step::GoOn).collect();
        let all = Action::BeginMerge { from: 0, len: open.parts };
        let can_merge_all = self.offers(all, bounds);
        let begins = |work: &Work| match work {
            Work::Write => self.states.iter().all(|state| can_begin_write(state, bounds)),
            Work::Merge => open.parts >= MERGED_MIN && can_merge_all,
        };
        steps.extend(idle.into_iter().filter(begins).map(Step::Begin));
        let is_written = open.frozen == 0 && !open.has_active && open.view.is_some() && open.bad.is_empty();
        let can_compact = can_merge_all || self.offers(Action::Compact, bounds);
        steps.extend((paused.is_empty() && is_written && can_compact).then_some(Step::Compact));
        steps.extend(self.offers(Action::Pin, bounds).then_some(Step::Pin));
        steps.extend(self.offers(Action::Unpin, bounds).then_some(Step::Unpin));
        steps
    }

    /// Whether an action is possible in every state that the store may be in.
    fn offers(&self, action: Action, bounds: Bounds) -> bool {
        self.states.iter().all(|state| offers(state, action, bounds))
    }
}

/// A write freezes what is not frozen yet.
fn can_begin_write(state: &State, bounds: Bounds) -> bool {
    let frozen = offers(state, Action::Freeze, bounds).then(|| after(state, Action::Freeze));
    match frozen {
        Some(frozen) => frozen.is_ok_and(|frozen| offers(&frozen, Action::BeginWrite, bounds)),
        None => offers(state, Action::BeginWrite, bounds),
    }
}
