//! The search for a sequential order.

use std::collections::HashSet;

use super::{Action, Call};

/// The value of a key.
pub(super) type KeyState<'a> = Option<&'a [u8]>;

impl Action {
    /// The state after it, if its answer is right in this state.
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

/// Tries all orders. It remembers each pair of placed calls and resulting state, since one visit of
/// each is enough. On failure, returns the largest set of calls that could be placed.
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
            // Calls whose time ended before this one was made did not take effect. They are `maybe`
            // calls: a certain one would have forbidden this call to come first.
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
