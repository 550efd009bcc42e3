//! Checks what calls saw of the whole store against the states that the writes lead to, in commit
//! order.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
};

use kv_core::Lsn;
use kv_testkit::{Model, Operation, Outcome};

use crate::{
    feed_checker::FeedEvent,
    recording_log::{Commits, Write},
    worker::tag,
};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What was seen at one position, by one call or by several that read the same snapshot.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The call, if it may have written. Then it saw the state before its own position.
    pub call: Option<u64>,
    /// The lowest position that it can have seen. Everything up to here was acknowledged or seen
    /// before it began.
    pub from: Lsn,
    /// The highest position that it can have seen. Nothing above was visible when it ended.
    pub upto: Lsn,
    pub steps: Vec<ObservedStep>,
}

/// One read or change, and its answer. Later steps see earlier changes.
#[derive(Clone, Debug)]
pub enum ObservedStep {
    /// A key with a value that has this [`tag`], or with none.
    Tagged {
        collection: &'static str,
        key: Vec<u8>,
        tag: Option<Vec<u8>>,
    },
    Get {
        collection: String,
        key: Vec<u8>,
        found: Option<Vec<u8>>,
    },
    /// Entries from both ends of a range.
    Entries {
        collection: String,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
        front: Vec<Pair>,
        /// The last one first.
        back: Vec<Pair>,
        /// Whether there were no others.
        is_all: bool,
    },
    Len {
        collection: String,
        len: u64,
    },
    /// The names of the collections, and how many entries and bytes they hold.
    Collections(Vec<(String, u64, u64)>),
    Change(Operation, Outcome),
}

impl ObservedStep {
    fn is_right(&self, model: &mut Cow<'_, Model>) -> bool {
        match self {
            Self::Tagged { collection, key, tag: found } => model.get(collection, key).map(tag) == *found,
            Self::Get { collection, key, found } => model.get(collection, key) == found.as_deref(),
            Self::Entries { collection, lower, upper, front, back, is_all } => {
                let is_within =
                    |key: &[u8]| std::ops::RangeBounds::<[u8]>::contains(&(bytes(lower), bytes(upper)), key);
                let pair = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
                let there: Vec<Pair> =
                    model.prefix(collection, b"").filter(|(key, _)| is_within(key)).map(pair).collect();
                let backward: Vec<_> = there.iter().rev().take(back.len()).cloned().collect();
                let taken = front.len() + back.len();
                there.starts_with(front)
                    && backward == *back
                    && if *is_all { taken == there.len() } else { taken <= there.len() }
            }
            Self::Len { collection, len } => model.len(collection) as u64 == *len,
            Self::Collections(collections) => *collections == sizes(model),
            Self::Change(operation, outcome) => model.to_mut().apply(operation) == *outcome,
        }
    }
}

fn bytes(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn sizes(model: &Model) -> Vec<(String, u64, u64)> {
    let size = |(name, entries): (&String, &BTreeMap<Vec<u8>, Vec<u8>>)| {
        let bytes = entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        (name.clone(), entries.len() as u64, bytes as u64)
    };
    model.collections().iter().map(size).collect()
}

impl Observation {
    /// If the call has written, fixes the position whose state it saw. The order of positions must
    /// agree with real time.
    fn decide(&mut self, positions: &HashMap<u64, Lsn>) {
        let Some(own) = self.call.and_then(|call| positions.get(&call)) else { return };
        let before = Lsn(own.0 - 1);
        assert!(before >= self.from, "it was committed at {own}, after {} was acknowledged: {self:?}", self.from);
        (self.from, self.upto) = (before, before);
    }

    /// The first step that is wrong in this state.
    fn wrong_step(&self, model: &Model) -> Option<&ObservedStep> {
        let mut model = Cow::Borrowed(model);
        self.steps.iter().find(|step| !step.is_right(&mut model))
    }
}

/// After a crash, checks earlier answers that changed nothing and had to survive a power cut. What
/// they looked at must still be there, so each must be right at a position that was recovered.
pub fn check_answers(commits: &Commits, recovered: Lsn, mut answers: Vec<Observation>) {
    for answer in &mut answers {
        (answer.from, answer.upto) = (answer.from.min(recovered), answer.upto.min(recovered));
    }
    let Some(first) = answers.iter().map(|answer| answer.from).min() else { return };
    let writes: Vec<Write> = commits.lock().clone();
    let mut model = commits.state_at(first);
    for position in (first.0..=recovered.0).map(Lsn) {
        answers.retain(|answer| {
            let may_be_here = (answer.from..=answer.upto).contains(&position);
            !may_be_here || answer.wrong_step(&model).is_some()
        });
        for operation in writes.get(position.0 as usize).iter().flat_map(|write| &write.operations) {
            model.apply(operation);
        }
    }
    assert!(answers.is_empty(), "a crash lost what these answers depend on; {recovered} was recovered: {answers:?}");
}

/// Checks that each observation is right at some position between its `from` and its `upto`, and
/// that the feed leads to the state at each position. `opened` is the position at which the current
/// incarnation began.
pub fn check(
    commits: &Commits,
    opened: Lsn,
    mut observations: Vec<Observation>,
    events: Vec<(Lsn, FeedEvent)>,
    fed: &mut Model,
) {
    let writes: Vec<Write> = commits.lock().clone();
    let positions: HashMap<_, _> = (1..).zip(&writes).map(|(lsn, write)| (write.call, Lsn(lsn))).collect();
    observations.iter_mut().for_each(|observation| observation.decide(&positions));
    observations.sort_by_key(|observation| observation.from);
    let mut events = VecDeque::from(events);
    let mut position = events.front().map_or(opened, |(first, _)| opened.min(*first));
    let mut model = commits.state_at(position);
    let (mut to_come, mut open) = (VecDeque::from(observations), Vec::new());
    loop {
        let begun = to_come.partition_point(|observation| observation.from <= position); // in order of `from`
        open.extend(to_come.drain(..begun));
        open.retain(|observation| {
            let wrong = observation.wrong_step(&model);
            assert!(
                wrong.is_none() || position < observation.upto,
                "wrong at {position} and before: {wrong:?} of {observation:?}; the state there is {:?}",
                model.collections()
            );
            wrong.is_some()
        });
        while events.front().is_some_and(|(lsn, _)| *lsn == position)
            && let Some((_, event)) = events.pop_front()
        {
            event.apply(fed);
            assert!(
                *fed == model,
                "the feed leads to another state at {position}: {event:?} to {fed:?}, not {model:?}"
            );
        }
        let Some(write) = writes.get(position.0 as usize) else { break };
        for operation in &write.operations {
            model.apply(operation);
        }
        position = position.next();
    }
    assert!(open.is_empty() && to_come.is_empty() && events.is_empty(), "seen but never there: {open:?} {to_come:?}");
}
