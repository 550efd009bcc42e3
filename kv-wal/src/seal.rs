//! Finding the seal of a log that was closed without reading what precedes it.

use kv_core::Result;
use kv_vfs::Vfs;

use crate::{
    bytes::is_zero,
    error,
    file::Segment,
    frame::{self, FrameHeader, Kind},
    judge::Scanned,
    proof,
    scanner::read_up_to,
    survey::{Chain, Survey},
};

/// Whether a seal is the last thing there, after a frame of that kind. Only the padding of its block may follow it.
pub(crate) fn is_sealed_after(sealed: bool, kind: Kind) -> bool {
    match kind {
        Kind::Seal => true,
        Kind::Padding => sealed,
        Kind::Record | Kind::Start | Kind::Epoch => false,
    }
}

/// The end of the log, if it is a seal with nothing behind it.
///
/// Where the log goes on in the same segment, the first write after the seal is an epoch frame in the next block, flushed before
/// anything else is written anywhere: so when that block and the next segment's first are untouched, nothing has been written since.
/// Where it goes on in the next segment, unflushed blocks of that may have survived in any order, so all of it must be untouched.
pub(crate) fn find(vfs: &dyn Vfs, survey: &Survey, chain: &Chain) -> Result<Option<Scanned>> {
    let (Some(last), None) = (chain.run.last(), chain.broken) else { return Ok(None) };
    let segment = survey.segments[*last].open(vfs)?;
    if last_seal(&segment)?.is_none() {
        return Ok(None);
    }
    // A flush of the seal that failed has left it in memory only: the disk decides.
    segment.file.sync_data().and_then(|()| segment.file.drop_cache()).map_err(error::io)?;
    let Some(sealed) = last_seal(&segment)? else { return Ok(None) };
    if survey.segments[*last].start.is_some_and(|start| sealed.last < start.base) {
        return Ok(None); // it is not of these frames, whatever its checksum says: they have to be read
    }
    let in_place = segment.goes_on_behind_seal(sealed.offset, u64::from(vfs.block_bytes()))?;
    for found in &survey.segments[last + 1..] {
        let next = found.open(vfs)?;
        let untouched = if in_place { is_zero(&read_block(&next, 1)?) } else { proof::is_unused(&next)? };
        if !untouched {
            return Ok(None);
        }
    }
    Ok(Some(sealed))
}

fn last_seal(segment: &Segment) -> Result<Option<Scanned>> {
    decode(segment, last_used_block(segment)?)
}

/// The last block before the zeroes at the segment's end, if its blocks are used in order. If they are not, it is some block that is
/// followed by zeroes.
fn last_used_block(segment: &Segment) -> Result<u64> {
    let (mut used, mut unused) = (1, segment.header.length / segment.block());
    while unused - used > 1 {
        let middle = used + (unused - used) / 2;
        if is_zero(&read_block(segment, middle)?) {
            unused = middle;
        } else {
            used = middle;
        }
    }
    Ok(used)
}

/// The block as a seal, if it is one: a seal and the padding that fills the block, both valid.
fn decode(segment: &Segment, block: u64) -> Result<Option<Scanned>> {
    let bytes = read_block(segment, block)?;
    let identity = segment.header.identity;
    let Some((seal, payload, rest)) = split_frame(&bytes, identity) else { return Ok(None) };
    let Some((padding, _, [])) = split_frame(rest, identity) else { return Ok(None) };
    let (Ok(Kind::Seal), Ok(Kind::Padding), Some(epoch)) = (seal.kind(), padding.kind(), frame::decode_epoch(payload))
    else {
        return Ok(None);
    };
    let offset = (block + 1) * segment.block();
    Ok(Some(Scanned { offset, last: seal.lsn, epoch, bad: None, sealed: true }))
}

fn split_frame(bytes: &[u8], identity: u64) -> Option<(FrameHeader, &[u8], &[u8])> {
    let header = FrameHeader::decode(bytes, identity)?;
    let (frame, rest) = bytes.split_at_checked(header.frame_bytes() as usize)?;
    Some((header, frame::payload(&header, frame, identity)?, rest))
}

/// The block with that number; shorter, or empty, where the file ends before its end.
fn read_block(segment: &Segment, block: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; segment.block() as usize];
    let len = read_up_to(&*segment.file, &mut bytes, block * segment.block())?;
    bytes.truncate(len);
    Ok(bytes)
}
