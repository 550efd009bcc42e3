//! Writing without new space: asking the file system to overwrite the log's files in place, and
//! refusing records early where it does not.
//!
//! A record gets its position before it is written, so its write must not fail for lack of space.
//! Where files are overwritten in place, the zeroes that were written ahead guarantee that.
//! Elsewhere those zeroes reserve nothing, so the free space is checked before a record gets a
//! position.

use kv_core::Result;
use kv_vfs::{Access, File, Space, Vfs};

use super::room;
use crate::format::names;

/// One byte in 64 of the disk is kept free, because the free space is only an estimate and other
/// programs write too ...
const KEPT_PART: u64 = 64;
/// ... but at least what a group of records takes beyond its own bytes (the ends of its blocks, and
/// the mark) ...
const KEPT_BYTES_MIN: u64 = 256 << 10;
/// ... and at most this.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// A file longer than this is not a mark: the mark's two slots are much closer together.
const MARK_BYTES_MAX: u64 = 1 << 20;

/// Asks the file system to overwrite in place what the log writes from now on, and replaces the
/// mark by a copy if it is not overwritten in place. Segments need no copy: a segment that is not
/// overwritten in place is not written any further, and the request applies to new ones.
///
/// If the copy fails, the old mark stays, and its [`File::is_overwritten_in_place`] is still
/// `false`.
pub(crate) fn prepare(vfs: &dyn Vfs) {
    vfs.request_overwriting_in_place();
    if let Ok(mark) = vfs.open(names::MARK, Access::Read)
        && !mark.is_overwritten_in_place()
        && !matches!(copy(vfs, &*mark), Ok(true))
    {
        let _ = vfs.remove(names::TEMPORARY); // if this fails, the next new segment removes it
    }
}

/// Copies the mark. Returns whether the copy is overwritten in place and has taken the mark's name,
/// which is not durable yet.
fn copy(vfs: &dyn Vfs, mark: &dyn File) -> kv_vfs::Result<bool> {
    let mut bytes = vec![0; mark.len()?.min(MARK_BYTES_MAX) as usize];
    mark.read_exact_at(&mut bytes, 0)?;
    let _ = vfs.remove(names::TEMPORARY); // left by a killed process
    let copy = vfs.create(names::TEMPORARY)?;
    if !copy.is_overwritten_in_place() {
        return Ok(false);
    }
    copy.write_all_at(&bytes, 0)?;
    copy.sync_data()?;
    vfs.rename(names::TEMPORARY, names::MARK).map(|()| true)
}

/// Refuses a record, before it gets a position, if the disk may lack the space to write it, or if
/// less than `kept_bytes` bytes would be left.
pub(crate) fn check_space(vfs: &dyn Vfs, bytes: usize, kept_bytes: u64) -> Result<()> {
    let Space { free, total } = vfs.space()?;
    let kept = (total / KEPT_PART).clamp(KEPT_BYTES_MIN, KEPT_BYTES_MAX).max(kept_bytes);
    if free.saturating_sub(kept) >= bytes as u64 {
        return Ok(());
    }
    Err(room::refusal(
        vfs,
        format!("{free} bytes are free, but {kept} must stay free: this file system copies on write"),
    ))
}
