//! What opens on a damaged disk can be used, and what is acknowledged then survives the next crash.

use kv_store::{Durability, Error};
use kv_testkit::sim::{CrashChoice, CrashModel, Survivors, SimDisk};

use crate::{
    coverage::Verb,
    engine::{Engine, difference},
    finding::{Verdict, Violation},
    known::Known,
    life::Life,
    workload::Step,
};

/// What a damage may still cost when the store was used, and the power is cut once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Nothing: the damage was read, or nothing that is read then.
    Nothing,
    /// It was not read where a seal stood behind it: now it is, and is refused if it is proven.
    /// That costs the last group at most.
    TheLastGroup,
}

/// Uses a verb, writes something, and cuts the power. Damage that is met is reported; nothing else
/// goes wrong.
pub fn go_on(engine: Engine, disk: &SimDisk, known: &Known, verb: Verb, later: Later) -> Verdict {
    let mut known = known.found_at(engine.store.recovery().position);
    known.may_misread = true;
    let mut life = Life::resume(disk, known, engine);
    for step in [Step::Verb(verb, SEED), Step::Put(KEY, Durability::Disk)] {
        match life.step(step)? {
            Ok(()) => {}
            Err(Error::Corrupt { .. }) if life.engine.is_some() => {}
            Err(Error::Closed) => {}
            Err(error) => return Err(Violation::refusal(&format!("it opens, and then {step:?} fails"), &error)),
        }
    }
    let left = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    let engine = match Engine::open(&left) {
        Err(Error::Corrupt { .. }) if later == Later::TheLastGroup => return Ok(()),
        opened => opened.map_err(|error| Violation::refusal("locked out later", &error))?,
    };
    let (position, known) = (engine.store.recovery().position, &life.known);
    if later == Later::Nothing || position < known.all_but_the_last_group(u64::MAX) {
        known.check_position(u64::MAX, CrashModel::Posix, position)?;
    }
    let Some(expected) = known.state_at(position) else { return Ok(()) };
    match difference(&engine.store, expected) {
        Ok(None) | Err(Error::Corrupt { .. }) => Ok(()),
        Ok(Some(difference)) => Err(Violation::loss(format!("later, at position {position}, {difference}"))),
        Err(error) => Err(Violation::wrong(format!("damage is answered by {error:?}"))),
    }
}

/// The key that is written, and what keys of verbs follow from: both are new.
const KEY: u8 = 77;
const SEED: u64 = 210;
