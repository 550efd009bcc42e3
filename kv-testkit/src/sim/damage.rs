//! Damage: what may happen to the bytes of a file.

use super::{content::Content, sector::SECTOR_BYTES, state::FileNode};

/// Damage to a file at rest, or to data as it is read. Sectors have 512 bytes and are counted from
/// 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A bit is flipped, counted from the lowest bit of the first byte.
    FlippedBit(u64),
    /// A sector holds zeroes.
    ZeroedSector(u64),
    /// Two sectors are exchanged.
    SwappedSectors(u64, u64),
    /// A sector holds other content; see [`SimDisk::stale_sector`](super::SimDisk::stale_sector)
    /// and [`SimDisk::misdirected_sector`](super::SimDisk::misdirected_sector).
    ForeignSector(u64, Vec<u8>),
    /// The file is truncated to this length in bytes.
    Cut(u64),
}

impl Damage {
    /// What readers would see if the file had this damage. The file itself is not changed.
    pub(super) fn seen(&self, file: &FileNode) -> Content {
        let mut damaged = FileNode { seen: file.seen.clone(), ..FileNode::default() };
        self.apply(&mut damaged);
        damaged.seen
    }

    pub(super) fn apply(&self, file: &mut FileNode) -> bool {
        let len = file.seen.len();
        match self {
            Self::FlippedBit(bit) => change(file, bit / 8, 1, |bytes| bytes[0] ^= 1 << (bit % 8)),
            Self::ZeroedSector(sector) => change_sector(file, *sector, |bytes| bytes.fill(0)),
            Self::SwappedSectors(one, other) => {
                let (first, second) = (file.sector(*one), file.sector(*other));
                if first.is_empty() || second.is_empty() {
                    return false;
                }
                change_sector(file, *one, |bytes| copy(bytes, &second))
                    && change_sector(file, *other, |bytes| copy(bytes, &first))
            }
            Self::ForeignSector(sector, content) => change_sector(file, *sector, |bytes| copy(bytes, content)),
            Self::Cut(end) => {
                file.seen.set_len(len.min(*end));
                file.durable.set_len(file.durable.len().min(*end));
                *end < len
            }
        }
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    to[..len].copy_from_slice(&from[..len]);
}

fn change_sector(file: &mut FileNode, sector: u64, change_bytes: impl Fn(&mut [u8])) -> bool {
    change(file, sector * SECTOR_BYTES, SECTOR_BYTES as usize, change_bytes)
}

/// Changes both what readers see and what survives. Returns `false` if the file ends before
/// `offset`.
fn change(file: &mut FileNode, offset: u64, len: usize, change_bytes: impl Fn(&mut [u8])) -> bool {
    let is_there = offset < file.seen.len();
    for content in [&mut file.seen, &mut file.durable] {
        let mut bytes = vec![0; len];
        let len = content.read(&mut bytes, offset);
        if len != 0 {
            change_bytes(&mut bytes[..len]);
            content.write(&bytes[..len], offset);
        }
    }
    is_there
}
