//! Corrects the checksums of a part, whatever else is in it.

use bytes::Bytes;
use kv_vfs::little_endian::{get_u64, put, put_u64};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::ENDS_BYTES;

pub(super) const BLOCK_BYTES: usize = 4096;
/// How many blocks' checksums a block of the tree holds.
pub(super) const FAN_OUT: usize = BLOCK_BYTES / 8;
/// Where the footer holds the checksum of the tree's top.
const ROOT_AT: usize = 64;

/// The part that the input stands for; `None` if it is too short.
pub(super) fn from_sparse(input: &[u8]) -> Option<Bytes> {
    let (header, rest) = input.split_at_checked(ENDS_BYTES)?;
    let (footer, body) = rest.split_at_checked(ENDS_BYTES)?;
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(BLOCK_BYTES), 0);
    (body.len() / BLOCK_BYTES < FAN_OUT).then(|| with_tree(header, &body, footer))
}

/// A part of these pieces. The body consists of whole blocks, few enough for a tree of one block.
pub(super) fn with_tree(header: &[u8], body: &[u8], footer: &[u8]) -> Bytes {
    let covered = BLOCK_BYTES + body.len();
    let mut file = vec![0; covered + 2 * BLOCK_BYTES];
    put(&mut file, 0, header);
    put(&mut file, BLOCK_BYTES, body);
    put(&mut file, covered + BLOCK_BYTES, footer);
    let checksum = xxh3_64(&file[16..BLOCK_BYTES]);
    put_u64(&mut file, 8, checksum);
    let seed = get_u64(&file, 56) ^ get_u64(&file, 64);
    let (data, ends) = file.split_at_mut(covered);
    let (tree, footer) = ends.split_at_mut(BLOCK_BYTES);
    for (block, at) in data.chunks_exact(BLOCK_BYTES).zip((0..).step_by(8)) {
        put_u64(tree, at, xxh3_64_with_seed(block, seed));
    }
    put_u64(footer, ROOT_AT, xxh3_64_with_seed(tree, seed));
    let checksum = xxh3_64_with_seed(&footer[16..], seed);
    put_u64(footer, 8, checksum);
    file.into()
}
