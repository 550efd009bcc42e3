//! Damage to the files of a log at rest.

use std::{collections::BTreeSet, fmt};

use crate::vfs::Files;

/// The units in which disks lose and misplace data, in bytes: a sector and a block.
const BLOCKS_BYTES: [usize; 2] = [512, 4096];
/// About how many bits are flipped. In small logs, several bits of each byte are flipped.
const FLIPS: usize = 10_000;
/// One in this many bytes of unused space is flipped.
const UNUSED_STRIDE: usize = 251;
/// Files are cut at every n-th used byte.
const CUT_STRIDE: usize = 13;

/// How much of a medium is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A byte. Its block still shows that something was written.
    Byte,
    /// At most a block.
    Block,
    /// At most a whole file.
    File,
}

/// One damage to the files of a log.
pub struct FileDamage {
    extent: Extent,
    file: String,
    edit: Edit,
    what: String,
}

enum Edit {
    /// Other bytes at these offsets.
    Bytes(Vec<(usize, Vec<u8>)>),
    Cut(usize),
    /// Another content, or none.
    Content(Option<Vec<u8>>),
}

impl FileDamage {
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The files with this damage.
    pub fn apply_to(&self, files: &Files) -> Files {
        let mut files = files.clone();
        let Some(bytes) = files.get_mut(&self.file) else { return files };
        match &self.edit {
            Edit::Bytes(edits) => {
                for (at, edit) in edits {
                    let len = edit.len().min(bytes.len() - at);
                    bytes[*at..at + len].copy_from_slice(&edit[..len]);
                }
            }
            Edit::Cut(len) => bytes.truncate(*len),
            Edit::Content(Some(content)) => bytes.clone_from(content),
            Edit::Content(None) => drop(files.remove(&self.file)),
        }
        files
    }
}

impl fmt::Display for FileDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damage: {} {}", self.file, self.what)
    }
}

/// Flips one or several bits of every byte in use, and of some unused bytes; one at a time.
pub fn flipped_bytes(files: &Files) -> Vec<FileDamage> {
    let places: Vec<_> = files.iter().flat_map(|(name, bytes)| used(bytes).map(move |at| (name, bytes, at))).collect();
    let bits = (FLIPS / places.len().max(1)).clamp(1, 8);
    let flips = places.into_iter().flat_map(|(name, bytes, at)| (0..bits).map(move |n| (name, bytes, at, n)));
    flips.map(|(name, bytes, at, n)| flip(name, bytes, at, (at + 3 * n) % 8)).collect()
}

/// Flips a bit of every byte that was newly written.
pub fn flipped_new_bytes(files: &Files, before: &Files) -> Vec<FileDamage> {
    // A new file was prepared in advance, and may have been durable before it was used.
    let old = files.iter().filter_map(|(name, bytes)| Some((name, bytes, before.get(name)?)));
    old.flat_map(|(name, bytes, before)| {
        let is_new = |at: &usize| bytes[*at] != 0 && before.get(*at).is_none_or(|byte| *byte == 0);
        (0..bytes.len()).filter(is_new).map(|at| flip(name, bytes, at, at % 8)).collect::<Vec<_>>()
    })
    .collect()
}

/// Zeroes every sector and block in use, restores its earlier content, or replaces it by another
/// one.
pub fn damaged_blocks(files: &Files, older: &[Files]) -> Vec<FileDamage> {
    let mut damages = Vec::new();
    for size in BLOCKS_BYTES {
        let blocks = blocks(files, size);
        for block in &blocks {
            damages.push(block.with(&vec![0; size], "is full of zeroes"));
            let older: BTreeSet<_> = older.iter().filter_map(|files| block.of(files)).collect();
            damages.extend(older.into_iter().map(|content| block.with(content, "is as it was before")));
        }
        damages.extend(misplaced(&blocks, size));
    }
    damages
}

/// Puts each block in the place of every other block, and each sector in the place of the previous
/// one.
fn misplaced<'a>(blocks: &'a [Block<'a>], size: usize) -> impl Iterator<Item = FileDamage> + 'a {
    let in_question = if size == BLOCKS_BYTES[0] { 1 } else { blocks.len() - 1 };
    let others = move |n| blocks.iter().cycle().skip(n + 1).take(in_question);
    let pairs = blocks.iter().enumerate().flat_map(move |(n, block)| others(n).map(move |other| (block, other)));
    pairs.map(|(block, other)| block.with(other.content, &format!("holds what is in {} at {}", other.file, other.at)))
}

/// Does each of these to every file: cuts it, removes it, restores an older copy, replaces it by
/// another file, or exchanges two of its blocks.
pub fn damaged_files(files: &Files, older: &[Files]) -> Vec<FileDamage> {
    let mut damages = Vec::new();
    for (name, bytes) in files {
        let damage = |edit, what: String| FileDamage { extent: Extent::File, file: name.clone(), edit, what };
        let replaced = |content: &Vec<u8>, what: String| damage(Edit::Content(Some(content.clone())), what);
        let ends = used(bytes).step_by(CUT_STRIDE).chain((0..bytes.len()).step_by(BLOCKS_BYTES[0]));
        damages.extend(ends.map(|end| damage(Edit::Cut(end), format!("ends after {end} bytes"))));
        damages.push(damage(Edit::Content(None), "is gone".to_owned()));
        let older: BTreeSet<_> = older.iter().filter_map(|files| files.get(name)).collect();
        damages.extend(older.into_iter().map(|content| replaced(content, "is as it was before".to_owned())));
        damages.extend(files.iter().map(|(other, content)| replaced(content, format!("holds what is in {other}"))));
    }
    damages.extend(BLOCKS_BYTES.iter().flat_map(|size| exchanged_blocks(files, *size)));
    damages
}

fn exchanged_blocks(files: &Files, size: usize) -> Vec<FileDamage> {
    let blocks = blocks(files, size);
    let pairs = blocks.iter().flat_map(|one| blocks.iter().map(move |other| (one, other)));
    let pairs = pairs.filter(|(one, other)| one.file == other.file && one.at < other.at);
    let exchanged = |(one, other): (&Block<'_>, &Block<'_>)| FileDamage {
        extent: Extent::File,
        file: one.file.to_owned(),
        edit: Edit::Bytes(vec![(one.at, other.content.to_vec()), (other.at, one.content.to_vec())]),
        what: format!("has the {size} bytes at {} and at {} exchanged", one.at, other.at),
    };
    pairs.map(exchanged).collect()
}

fn flip(file: &str, bytes: &[u8], at: usize, bit: usize) -> FileDamage {
    let edit = Edit::Bytes(vec![(at, vec![bytes[at] ^ 1 << bit])]);
    FileDamage {
        extent: Extent::Byte,
        file: file.to_owned(),
        edit,
        what: format!("has bit {bit} of byte {at} flipped"),
    }
}

/// The offsets in use, or near bytes in use, and some of the others.
fn used(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let near: Vec<bool> = bytes.chunks(16).map(|chunk| chunk.iter().any(|byte| *byte != 0)).collect();
    (0..bytes.len()).filter(move |at| near[at / 16] || at % UNUSED_STRIDE == 0)
}

/// A sector or block that is not all zeroes; shorter at the end of its file.
struct Block<'a> {
    file: &'a str,
    at: usize,
    content: &'a [u8],
}

fn blocks(files: &Files, size: usize) -> Vec<Block<'_>> {
    let blocks = files.iter().flat_map(|(file, bytes)| {
        bytes.chunks(size).enumerate().map(move |(n, content)| Block { file, at: n * size, content })
    });
    blocks.filter(|block| block.content.iter().any(|byte| *byte != 0)).collect()
}

impl Block<'_> {
    /// The content of this block in `files`, if it differs.
    fn of<'a>(&self, files: &'a Files) -> Option<&'a [u8]> {
        let bytes = files.get(self.file)?.get(self.at..)?;
        bytes.get(..bytes.len().min(self.content.len())).filter(|bytes| *bytes != self.content)
    }

    fn with(&self, content: &[u8], what: &str) -> FileDamage {
        let edit = Edit::Bytes(vec![(self.at, content.to_vec())]);
        let what = format!("at {}, {} bytes, {what}", self.at, self.content.len());
        FileDamage { extent: Extent::Block, file: self.file.to_owned(), edit, what }
    }
}
