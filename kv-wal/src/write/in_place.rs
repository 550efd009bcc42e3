//! Writing without new space: having the file system overwrite the log's files in place, and what
//! is done where it does not.
//!
//! A record has a position before it is written, so its write must not fail for want of space.
//! Where files are overwritten in place, the zeroes that were written ahead see to that. Elsewhere
//! they reserve nothing, and records are refused early.

use std::io;

use kv_core::{Error, Result};
use kv_vfs::{Access, File, Space, Vfs};

use crate::format::names;

/// The part of the disk that stays free: free space is an estimate, and others write too ...
const KEPT_PART: u64 = 64;
/// ... but at least what a group takes beside its records (the ends of its blocks, and the mark)
/// ...
const KEPT_BYTES_MIN: u64 = 256 << 10;
/// ... and no more than this.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// The mark has two slots, far less than this apart. What is longer is none.
const MARK_BYTES_MAX: u64 = 1 << 20;

/// Has what the log writes from now on overwritten in place, as far as the file system does that on
/// request. Segments that were copied here are written no further, but there is one mark: it is
/// copied again. If that fails, the mark is as before, which
/// [`File::is_overwritten_in_place`](kv_vfs::File::is_overwritten_in_place) says of it.
pub(crate) fn prepare(vfs: &dyn Vfs) {
    vfs.request_overwriting_in_place();
    if let Ok(mark) = vfs.open(names::MARK, Access::Read)
        && !mark.is_overwritten_in_place()
        && !matches!(copy(vfs, &*mark), Ok(true))
    {
        let _ = vfs.remove(names::TEMPORARY); // the next segment removes it otherwise
    }
}

/// Whether there is a copy of the mark that is overwritten in place. It has taken the name, in
/// memory.
fn copy(vfs: &dyn Vfs, mark: &dyn File) -> kv_vfs::Result<bool> {
    let mut bytes = vec![0; mark.len()?.min(MARK_BYTES_MAX) as usize];
    mark.read_exact_at(&mut bytes, 0)?;
    let _ = vfs.remove(names::TEMPORARY); // left by a process that was killed
    let copy = vfs.create(names::TEMPORARY)?;
    if !copy.is_overwritten_in_place() {
        return Ok(false);
    }
    copy.write_all_at(&bytes, 0)?;
    copy.sync_data()?;
    vfs.rename(names::TEMPORARY, names::MARK).map(|()| true)
}

/// Refuses a record, before it has a position, for which the disk may have no space when it is
/// written.
pub(crate) fn check_space(vfs: &dyn Vfs, bytes: usize) -> Result<()> {
    let space = vfs.space().map_err(crate::error::io)?;
    let kept = (space.total / KEPT_PART).clamp(KEPT_BYTES_MIN, KEPT_BYTES_MAX);
    if space.free.saturating_sub(kept) >= bytes as u64 {
        return Ok(());
    }
    let Space { free, .. } = space;
    let detail = format!("{free} bytes are free, of which {kept} stay free since this file system copies on write");
    Err(Error::from_io("write to", vfs.path(), io::Error::new(io::ErrorKind::StorageFull, detail)))
}
