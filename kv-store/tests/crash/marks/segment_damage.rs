//! One damage to the log's segments.

use std::fmt;

use kv_testkit::sim::{Damage, SimDisk};

use super::power_cut::Image;
use crate::coverage::FaultKind;

pub const SECTOR_BYTES: usize = 512;
pub const BLOCK_SECTORS: usize = 8;

/// Consecutive sectors: a block of the log, or one sector of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub file: usize,
    pub from: usize,
    pub sectors: usize,
}

/// A damage. Files are given by their indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentDamage {
    Zeroed(Span),
    /// The span is as in the older version with this number.
    Stale(Span, usize),
    /// The span is exchanged with the one that begins at this sector of the same file.
    Swapped(Span, usize),
    /// The span holds what is at the same place of another file.
    Astray(Span, usize),
    Flipped(usize, u64),
}

impl SegmentDamage {
    pub fn fault(&self) -> FaultKind {
        match self {
            Self::Zeroed(_) => FaultKind::Zeroed,
            Self::Stale(..) => FaultKind::Stale,
            Self::Swapped(..) => FaultKind::Swapped,
            Self::Astray(..) => FaultKind::Astray,
            Self::Flipped(..) => FaultKind::Flipped,
        }
    }

    /// Whether whole blocks of the log are damaged.
    pub fn is_of_block(&self) -> bool {
        match self {
            Self::Zeroed(span) | Self::Stale(span, _) | Self::Astray(span, _) | Self::Swapped(span, _) => {
                span.sectors == BLOCK_SECTORS
            }
            Self::Flipped(..) => false,
        }
    }

    /// How many bits it may change.
    pub fn size(&self) -> usize {
        match self {
            Self::Flipped(..) => 1,
            Self::Zeroed(span) | Self::Stale(span, _) | Self::Astray(span, _) => span.sectors * SECTOR_BYTES * 8,
            Self::Swapped(span, _) => span.sectors * SECTOR_BYTES * 16,
        }
    }

    /// All damage to spans in use, both blocks and sectors, except bit flips.
    pub fn to_spans(image: &Image) -> Vec<Self> {
        let mut damages = Vec::new();
        for sectors in [BLOCK_SECTORS, 1] {
            for file in 0..image.files.len() {
                let spans = image.used(file, sectors);
                for (at, span) in spans.iter().enumerate() {
                    damages.push(Self::Zeroed(*span));
                    damages.extend((0..image.older(*span).len()).map(|version| Self::Stale(*span, version)));
                    let others = partners(&spans[at + 1..]).filter(|other| image.bytes(*other) != image.bytes(*span));
                    damages.extend(others.map(|other| Self::Swapped(*span, other.from)));
                    let foreign = |other: &usize| {
                        let there = image.bytes(Span { file: *other, ..*span });
                        *other != file && !there.is_empty() && there != image.bytes(*span)
                    };
                    damages.extend((0..image.files.len()).filter(foreign).map(|other| Self::Astray(*span, other)));
                }
            }
        }
        damages
    }

    /// One bit of every used block's first frame, and of its last byte in use. These are noticed
    /// wherever a block is read at all.
    pub fn to_headers(image: &Image) -> impl Iterator<Item = Self> {
        let spans = (0..image.files.len()).flat_map(|file| image.used(file, BLOCK_SECTORS));
        spans.flat_map(|span| {
            let at = span.from * SECTOR_BYTES;
            let last = image.bytes(span).iter().rposition(|byte| *byte != 0).unwrap_or_default();
            [at, at + 9, at + last].map(|byte| Self::Flipped(span.file, byte as u64 * 8 + 3))
        })
    }

    /// Every bit of every byte in use, or near one in use.
    pub fn to_bits(image: &Image) -> impl Iterator<Item = Self> {
        image.files.iter().enumerate().flat_map(|(file, (_, bytes))| {
            let is_near =
                |at: &usize| bytes[at.saturating_sub(4)..bytes.len().min(at + 5)].iter().any(|byte| *byte != 0);
            let bits = (0..bytes.len()).filter(is_near).flat_map(|at| at as u64 * 8..at as u64 * 8 + 8);
            bits.map(move |bit| Self::Flipped(file, bit)).collect::<Vec<_>>()
        })
    }

    pub fn apply(&self, image: &Image, disk: &SimDisk) {
        let put = |span: Span, bytes: &[u8]| {
            for (at, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let damage = Damage::ForeignSector((span.from + at) as u64, sector.to_vec());
                disk.damage(&image.files[span.file].0, &damage);
            }
        };
        match self {
            Self::Zeroed(span) => put(*span, &vec![0; image.bytes(*span).len()]),
            Self::Stale(span, version) => put(*span, &image.older(*span)[*version]),
            Self::Swapped(span, other) => {
                let other = Span { from: *other, ..*span };
                put(*span, image.bytes(other));
                put(other, image.bytes(*span));
            }
            Self::Astray(span, file) => put(*span, image.bytes(Span { file: *file, ..*span })),
            Self::Flipped(file, bit) => {
                disk.damage(&image.files[*file].0, &Damage::FlippedBit(*bit));
            }
        }
    }

    pub fn name(&self, image: &Image) -> String {
        let name = |file: &usize| image.files[*file].0.as_str();
        match self {
            Self::Zeroed(span) => format!("zero:{span}:{}", name(&span.file)),
            Self::Stale(span, version) => format!("stale:{span}@{version}:{}", name(&span.file)),
            Self::Swapped(span, other) => format!("swap:{span}-{other}:{}", name(&span.file)),
            Self::Astray(span, file) => format!("astray:{span}:{}:{}", name(&span.file), name(file)),
            Self::Flipped(file, bit) => format!("flip:{bit}:{}", name(file)),
        }
    }
}

/// The later spans that a span is exchanged with: all if they are few, and otherwise its neighbours
/// and the last ones.
fn partners(later: &[Span]) -> impl Iterator<Item = Span> {
    let is_partner = |at: &usize| *at < PARTNERS || *at + PARTNERS >= later.len();
    (0..later.len()).filter(is_partner).map(|at| later[at])
}

const PARTNERS: usize = 4;

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.from, self.sectors)
    }
}
