//! Small random changes to inputs: a fuzzer without feedback, for tests.

use fastrand::Rng;

/// Numbers at the edges of integer types, where comparisons tend to go wrong.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 1 << 31, 1 << 62, u64::MAX];

/// `input` with one to four changes, some of which copy parts of `other`.
pub fn mutated(input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..=4) {
        change(&mut bytes, other, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.extend_from_slice(other);
        return;
    }
    let at = rng.usize(..bytes.len());
    let end = (at + rng.usize(1..=16)).min(bytes.len());
    match rng.u8(..8) {
        0 | 1 => bytes[at] ^= 1 << rng.u8(..8),
        2 => bytes[at] = rng.u8(..),
        3 => overwrite(bytes, at, &EDGES[rng.usize(..EDGES.len())].to_le_bytes()[..1 << rng.usize(..4)]),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(at..end)),
        6 => {
            let copied = bytes[at..end].to_vec();
            bytes.splice(at..at, copied);
        }
        _ => {
            let from = rng.usize(..=other.len());
            let taken = &other[from..other.len().min(from + rng.usize(1..=64))];
            overwrite(bytes, at, taken);
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let len = with.len().min(bytes.len() - at);
    bytes[at..at + len].copy_from_slice(&with[..len]);
}
