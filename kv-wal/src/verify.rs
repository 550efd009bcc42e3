//! Looking at a log without opening it.

use kv_core::{Error, Lsn, Result};
use kv_vfs::Vfs;

use crate::{
    error,
    judge::{Judge, Scanned},
    names, proof,
    recovery::{check_numbers, check_segments, first_unproven},
    survey::Survey,
};

/// Whether nothing was ever written to the log in that directory: it has no segment, or only empty ones, and no mark of something durable.
/// Changes nothing and takes no lock.
///
/// # Errors
/// [`Io`](Error::Io) if the directory cannot be read. What is damaged is not blank.
pub fn is_blank(vfs: &dyn Vfs) -> Result<bool> {
    let mut sound = true;
    let survey = Survey::collect(vfs, &mut |_| {
        sound = false;
        Ok(())
    })?;
    if !sound || survey.marked() != Lsn::START {
        return Ok(false);
    }
    for found in &survey.segments {
        if found.start.is_some() || !proof::is_unused(&found.open(vfs)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads everything in a log's directory and returns all damage that is found, in the order of the segments; nothing if there is none. A torn
/// tail, which the next opening cuts, is no damage. Changes nothing and takes no lock: nobody should be writing meanwhile.
///
/// # Errors
/// [`Io`](Error::Io) if something cannot be read.
pub fn verify(vfs: &dyn Vfs) -> Result<Vec<Error>> {
    let mut damages = Vec::new();
    let survey = Survey::collect(vfs, &mut |damage| {
        damages.push(damage);
        Ok(())
    })?;
    let chain = survey.chain();
    keep(check_segments(vfs, &survey, &chain), &mut damages)?;
    let judge = Judge { vfs, survey: &survey, chain: &chain };
    for at in 0..chain.run.len() {
        let Some(scanned) = keep(judge.scan(at), &mut damages)? else { continue };
        if judge.is_continued(at, &scanned) || keep(judge.judge(at + 1, &scanned), &mut damages)?.is_none() {
            continue;
        }
        if at >= first_unproven(&survey, &chain) {
            keep(check_numbers(vfs, &survey, &scanned), &mut damages)?;
            return Ok(damages); // the log ends here, and nothing behind it counts
        }
        let number = survey.segments[chain.run[at]].header.number;
        let path = error::path(vfs, &names::segment(number));
        damages.push(Error::corrupt(path, scanned.offset, "it does not end where the next segment continues it"));
    }
    if let (true, Some(first)) = (chain.run.is_empty(), survey.segments.first()) {
        let end = Scanned::nothing(first);
        keep(judge.judge(0, &end), &mut damages)?;
        keep(check_numbers(vfs, &survey, &end), &mut damages)?;
    }
    Ok(damages)
}

/// Puts damage aside; that something cannot be read at all is an error.
fn keep<T>(result: Result<T>, damages: &mut Vec<Error>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(damage @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
            damages.push(damage);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
