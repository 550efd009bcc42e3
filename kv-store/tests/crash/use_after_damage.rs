//! A store that opens on a damaged disk can be used, and what it acknowledges then survives the
//! next crash.

use kv_store::{Durability, Error};
use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};

use crate::{
    coverage::Verb,
    driver::Driver,
    engine::{Engine, difference},
    findings::{Verdict, Violation},
    oracle::Oracle,
    workload::Step,
};

/// What the damage may still cost after the store was used and the power was cut once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayLose {
    /// Nothing: the damage was already read, or no opening reads it.
    Nothing,
    /// The last group. If a seal followed the damage, the first opening did not read it. The next
    /// one does, and may refuse because something proves the damage.
    LastGroup,
}

/// Uses a verb, writes something, and cuts the power. Damage that is met must be reported, and
/// nothing else may go wrong.
pub fn use_and_crash(engine: Engine, disk: &SimDisk, oracle: &Oracle, verb: Verb, may_lose: MayLose) -> Verdict {
    let mut oracle = oracle.found_at(engine.store.recovery().position);
    oracle.may_misread = true;
    let mut driver = Driver::resume(disk, oracle, engine);
    for step in [Step::Verb(verb, SEED), Step::Put(KEY, Durability::Disk)] {
        match driver.step(step)? {
            Ok(()) => {}
            Err(Error::Corrupt { .. }) if driver.engine.is_some() => {}
            Err(Error::Closed) => {}
            Err(error) => return Err(Violation::refusal(&format!("the store opens, but then {step:?} fails"), &error)),
        }
    }
    let left = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    let engine = match Engine::open(&left) {
        Err(Error::Corrupt { .. }) if may_lose == MayLose::LastGroup => return Ok(()),
        opened => opened.map_err(|error| Violation::refusal("locked out later", &error))?,
    };
    let (position, oracle) = (engine.store.recovery().position, &driver.oracle);
    if may_lose == MayLose::Nothing || position < oracle.all_but_the_last_group(u64::MAX) {
        oracle.check_position(u64::MAX, CrashModel::Posix, position)?;
    }
    let Some(expected) = oracle.state_at(position) else { return Ok(()) };
    match difference(&engine.store, expected) {
        Ok(None) | Err(Error::Corrupt { .. }) => Ok(()),
        Ok(Some(difference)) => Err(Violation::loss(format!("later, at position {position}, {difference}"))),
        Err(error) => Err(Violation::wrong(format!("damage gave the wrong error: {error:?}"))),
    }
}

/// The key that is written, and the seed for the keys of verbs; both are new.
const KEY: u8 = 77;
const SEED: u64 = 210;
