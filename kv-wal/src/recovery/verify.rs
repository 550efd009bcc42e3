//! Verifies a log without opening it.

use kv_core::{Error, Lsn, Result};
use kv_vfs::Vfs;

use super::inventory::Inventory;
use crate::{error, format::names};

/// Whether nothing was ever written to the log in this directory: it has no segments or only empty
/// ones, and the mark states no durable position. Changes nothing and takes no lock.
///
/// A log with damage is not blank.
///
/// # Errors
/// [`Io`](Error::Io) if the directory or a file in it cannot be read.
pub fn is_blank(vfs: &dyn Vfs) -> Result<bool> {
    let mut sound = true;
    let inventory = Inventory::read_despite_damage(vfs, &mut |_| {
        sound = false;
        Ok(())
    })?;
    if !sound || inventory.marked() != Lsn::START {
        return Ok(false);
    }
    for found in &inventory.segments {
        let segment = found.open(vfs)?;
        if found.start.is_some() || !segment.is_unused(segment.block(), u64::MAX)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Verifies everything in a log's directory. Returns all damage that it finds, including files in
/// the format of another version; an empty list if the log is sound. A torn tail is not damage: the
/// next opening truncates it. Changes nothing and takes no lock. No process should write to the log
/// meanwhile.
///
/// # Errors
/// [`Io`](Error::Io) if a file cannot be read.
pub fn verify(vfs: &dyn Vfs) -> Result<Vec<Error>> {
    let mut damages = Vec::new();
    let inventory = Inventory::read_despite_damage(vfs, &mut |damage| {
        damages.push(damage);
        Ok(())
    })?;
    collect(inventory.check_complete(), &mut damages)?;
    // Recovery begins with the first live segment at which the log can end, and stops where it
    // ends. Here the segments before that one are read too, and damage does not end the walk.
    for walked in inventory.walk(0) {
        let Some(walked) = collect(walked, &mut damages)? else { continue };
        let log_end = walked.as_log_end();
        if walked.continued || collect(inventory.classify_remains(&log_end), &mut damages)?.is_none() {
            continue;
        }
        if walked.at >= inventory.first_unproven() {
            collect(inventory.check_numbers(&log_end), &mut damages)?;
            return Ok(damages); // the log ends here, and nothing beyond this place counts
        }
        let path = error::path(vfs, &names::segment(inventory.live_segment(walked.at).header.number));
        let detail = "the segment does not end where the next one continues it";
        damages.push(Error::corrupt(path, walked.end.offset, detail));
    }
    if inventory.live.segments.is_empty() && !inventory.segments.is_empty() {
        let log_end = inventory.end_without_live_segments();
        collect(inventory.classify_remains(&log_end), &mut damages)?;
        collect(inventory.check_numbers(&log_end), &mut damages)?;
    }
    Ok(damages)
}

/// Adds an error about contents to the list. Returns any other error: a file could not be read.
fn collect<T>(result: Result<T>, damages: &mut Vec<Error>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(damage) if error::is_finding(&damage) => {
            damages.push(damage);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
