//! Combinations that cannot be reached, each with the reason.

use crate::coverage::{Combination, FaultKind, State, Verb};

/// Why the campaign can never reach the combination; `None` if it can.
pub fn why_not(combination: Combination) -> Option<&'static str> {
    match combination {
        Combination::StateVerb(state, verb) => state_verb(state, verb),
        Combination::StateFault(state, fault) => state_fault(state, fault),
        Combination::VerbFault(verb, fault) => verb_fault(verb, fault),
    }
}

fn state_verb(state: State, verb: Verb) -> Option<&'static str> {
    match (state, verb) {
        (State::Frozen, Verb::Open) => Some("the store is open while a checkpoint is written"),
        (State::Frozen, Verb::Close) => Some("closing waits until the checkpoint is written"),
        _ => None,
    }
}

fn state_fault(state: State, fault: FaultKind) -> Option<&'static str> {
    match (state, fault) {
        (State::Damaged, fault) if fault.is_damage() => Some("one damage may destroy the proof of the other"),
        (State::Fresh, FaultKind::Stale | FaultKind::Older) => Some("nothing in it has an earlier version"),
        _ => None,
    }
}

fn verb_fault(verb: Verb, fault: FaultKind) -> Option<&'static str> {
    match (verb, fault) {
        (_, FaultKind::FullDisk) => None,
        (_, fault) if fault.is_damage() => None,
        (Verb::Read, _) => Some("it reads memory and maps, and does nothing to files"),
        _ => None,
    }
}

/// Why the campaign need not reach the combination, although it may. This depends on how the code
/// works.
pub fn why_maybe(combination: Combination) -> Option<&'static str> {
    match combination {
        Combination::VerbFault(Verb::Open | Verb::Checkpoint | Verb::Feed, FaultKind::Misreads) => None,
        Combination::VerbFault(_, FaultKind::Misreads) => Some("what it looks up is in memory or mapped"),
        Combination::VerbFault(Verb::Feed, FaultKind::Eio | FaultKind::FullDisk) => None,
        Combination::VerbFault(Verb::Feed, fault) if !fault.is_damage() => Some("it reads the log, and need not write"),
        _ => None,
    }
}
