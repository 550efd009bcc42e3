//! What a store shows, compared with what a state of the model shows.

use kv_testkit::stack_model::{Look, LookAtKey};

use super::real::{Real, part_path, position};

macro_rules! same {
    ($what:literal: $real:expr, $model:expr) => {{
        let (real, model) = ($real, $model);
        if real != model {
            return Err(format!("{}: {real:?}, and in the model {model:?}", $what));
        }
    }};
}

/// Whether recovery did what the model says.
pub fn opened_as(look: &Look, real: &Real) -> Result<(), String> {
    let Some(open) = &look.open else { return Err("it is not open".to_owned()) };
    let recovery = real.store().recovery();
    same!("end of the log": position(recovery.position.0), look.appended);
    same!("used": recovery.checkpoint.map(|id| position(id.lsn.0)), open.view);
    let bad: Vec<_> = recovery.bad_checkpoints.iter().map(|(id, _)| position(id.lsn.0)).collect();
    // Those at and below a damaged one that was opened nevertheless stay as they are.
    let bad_above: Vec<_> = bad.iter().copied().filter(|lsn| Some(*lsn) > open.view).collect();
    if look.hidden == 0 {
        let model: Vec<_> = open.bad.iter().copied().filter(|lsn| Some(*lsn) > open.view).collect();
        same!("bad checkpoints": bad_above, model);
    }
    Ok(())
}

/// Whether the store shows what the model says.
pub fn shows(look: &Look, real: &Real) -> Result<(), String> {
    let paths = real.disk.paths();
    let are_there = |parts: Vec<u64>| parts.into_iter().map(|seq| paths.contains(&part_path(seq))).collect();
    let listed: Vec<_> = real.checkpoints().into_iter().map(|(lsn, parts)| (lsn, are_there(parts))).collect();
    // The others are those whose removal, or setting aside, a crash interrupted.
    let mut others = listed.clone();
    let are_all_there = look.listed.iter().all(|checkpoint| {
        let at = others.iter().position(|other| other == checkpoint);
        at.map(|at| others.remove(at)).is_some()
    });
    if !are_all_there || others.len() > look.hidden {
        return Err(format!("listed: {listed:?}, and in the model {:?} and up to {} more", look.listed, look.hidden));
    }
    let Some(open) = &look.open else { return Ok(()) };
    let stats = real.store().stats();
    same!("appended": position(stats.log.appended.0), look.appended);
    same!("trimmed": position(stats.log.trimmed.0), look.trimmed);
    same!("view": stats.checkpoint.map(|id| position(id.lsn.0)), open.view);
    same!("parts": stats.checkpoint_size.parts, open.parts);
    if look.hidden == 0 {
        same!("removal is stopped": stats.damage.is_some(), open.is_removal_stopped);
    }
    for (key, look) in open.keys.iter().enumerate() {
        if let LookAtKey::Value(value) = look {
            same!("key": real.read(key), Ok(*value));
        }
    }
    Ok(())
}
