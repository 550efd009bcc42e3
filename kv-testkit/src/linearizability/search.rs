//! The search for an order.

use std::collections::HashSet;

use super::{Action, Call};

/// The value of a key.
pub(super) type KeyState<'a> = Option<&'a [u8]>;

impl Action {
    /// The state after it, if its answer is right in this one.
    fn after<'a>(&'a self, state: KeyState<'a>) -> Option<KeyState<'a>> {
        let (is_right, after) = match self {
            Self::Get(found) => (state == found.as_deref(), state),
            Self::Put(value) => (true, Some(value.as_slice())),
            Self::Delete { existed } => (existed.is_none_or(|existed| existed == state.is_some()), None),
            Self::CompareAndSet { expected, new, answer: Ok(()) } => (state == expected.as_deref(), new.as_deref()),
            Self::CompareAndSet { expected, answer: Err(actual), .. } => {
                (state == actual.as_deref() && actual != expected, state)
            }
        };
        is_right.then_some(after)
    }
}

/// Tries all orders, of which it remembers what has been placed, and the state that this led to: it is enough to meet
/// the two once. On failure it gives the most that could be placed.
pub(super) fn search<'a>(calls: &[&'a Call]) -> Result<(), (Set, KeyState<'a>)> {
    let mut met = HashSet::new();
    let mut best = (Set::new(calls.len()), None);
    let mut open = vec![best.clone()];
    while let Some((placed, state)) = open.pop() {
        let left = || calls.iter().enumerate().filter(|(at, _)| !placed.contains(*at));
        let Some(first_return) = left().filter(|(_, call)| call.part.is_certain).map(|(_, call)| call.until).min()
        else {
            return Ok(());
        };
        if placed.len() > best.0.len() {
            best = (placed.clone(), state);
        }
        let candidates: Vec<_> = left().take_while(|(_, call)| call.invoked < first_return).collect();
        for (at, call) in candidates.into_iter().rev() {
            let Some(after) = call.part.action.after(state) else { continue };
            let mut placed = placed.clone();
            placed.insert(at);
            // What could only have happened before this was made never has: what is certain would not have let this
            // come first.
            for (at, _) in calls.iter().enumerate().filter(|(_, other)| other.until < call.invoked) {
                placed.insert(at);
            }
            if met.insert((placed.clone(), after)) {
                open.push((placed, after));
            }
        }
    }
    Err(best)
}

/// A set of small numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Set(Vec<u64>);

impl Set {
    fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.0[number / 64] & 1 << (number % 64) != 0
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}
