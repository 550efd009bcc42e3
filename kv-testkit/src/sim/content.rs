//! The bytes of a file. Copies share the pages that they have not changed.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

/// The size of a page: the unit that copies share and in which space is counted, in bytes.
pub(super) const PAGE_BYTES: usize = 4096;
/// The maximum length of a file, in bytes. It is limited because the table of its pages is in
/// memory.
pub(super) const FILE_BYTES_MAX: u64 = 4 << 30;

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pages: Vec<Page>,
    len: u64,
    /// How many of the pages take space. Counted as they change, because the space of a whole disk
    /// is asked for at each write to a disk of limited size.
    taken: usize,
}

#[derive(Clone, Debug)]
enum Page {
    /// Reads as zeroes and takes no space.
    Hole,
    /// Zeroes that were written.
    Zero,
    Data(Arc<Data>),
}

#[derive(Clone, Debug)]
struct Data {
    bytes: [u8; PAGE_BYTES],
    /// The hash of the bytes, computed when it is first needed.
    hash: OnceLock<u64>,
}

impl Content {
    pub fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes of disk space it takes.
    pub fn space_bytes(&self) -> u64 {
        (self.taken * PAGE_BYTES) as u64
    }

    /// Fills the buffer from `offset` on, and returns how many bytes there were.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let len = self.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        for (page, in_page, range) in spans(offset, len) {
            match self.pages.get(page) {
                Some(Page::Data(data)) => buffer[range.clone()].copy_from_slice(&data.bytes[in_page..][..range.len()]),
                _ => buffer[range].fill(0),
            }
        }
        len
    }

    /// Writes at `offset`. A write beyond the end enlarges the file and leaves a hole in between.
    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        self.grow(end);
        for (page, in_page, range) in spans(offset, bytes.len()) {
            let bytes = &bytes[range];
            self.taken += usize::from(matches!(self.pages[page], Page::Hole));
            if bytes == [0; PAGE_BYTES] {
                self.pages[page] = Page::Zero;
            } else {
                self.pages[page].to_mut()[in_page..][..bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// For each page of a range: whether the page takes no space yet, and how many bytes of the
    /// range lie in it.
    pub fn pages_of(&self, offset: u64, len: usize) -> impl Iterator<Item = (bool, usize)> {
        spans(offset, len)
            .map(|(page, _, range)| (matches!(self.pages.get(page), None | Some(Page::Hole)), range.len()))
    }

    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.truncate(len.div_ceil(PAGE_BYTES as u64) as usize);
            self.taken = self.pages.iter().filter(|page| !matches!(page, Page::Hole)).count();
            let in_page = (len % PAGE_BYTES as u64) as usize;
            if let Some(last @ Page::Data(_)) = self.pages.last_mut()
                && in_page != 0
            {
                last.to_mut()[in_page..].fill(0);
            }
            self.len = len;
        }
        self.grow(len);
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Feeds the hasher with what readers see. Each page is hashed once and shared by all copies.
    pub fn hash(&self, hasher: &mut impl Hasher) {
        self.len.hash(hasher);
        self.pages.iter().map(Page::hash).for_each(|hash| hash.hash(hasher));
    }

    fn grow(&mut self, len: u64) {
        if len > self.len {
            self.len = len;
            self.pages.resize(len.div_ceil(PAGE_BYTES as u64) as usize, Page::Hole);
        }
    }
}

impl Page {
    fn to_mut(&mut self) -> &mut [u8; PAGE_BYTES] {
        if !matches!(self, Self::Data(_)) {
            *self = Self::Data(Arc::new(Data { bytes: [0; PAGE_BYTES], hash: OnceLock::new() }));
        }
        match self {
            Self::Data(data) => {
                let data = Arc::make_mut(data);
                data.hash = OnceLock::new();
                &mut data.bytes
            }
            _ => unreachable!("it was just made data"),
        }
    }

    /// All zero pages hash alike, whether they are holes or were written.
    fn hash(&self) -> u64 {
        let Self::Data(data) = self else { return 0 };
        *data.hash.get_or_init(|| {
            if data.bytes == [0; PAGE_BYTES] {
                return 0;
            }
            let mut hasher = DefaultHasher::new();
            hasher.write(&data.bytes);
            hasher.finish()
        })
    }
}

/// The pages of a range of bytes: the page's number, the offset in the page, and the part of the
/// range.
fn spans(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset as usize + done;
        let span = (PAGE_BYTES - at % PAGE_BYTES).min(len - done);
        let range = done..done + span;
        done += span;
        (span != 0).then_some((at / PAGE_BYTES, at % PAGE_BYTES, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_behaves_like_a_vector() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut content, mut plain) = (Content::default(), Vec::new());
        for _ in 0..500 {
            let at = rng.usize(..20_000);
            if rng.u8(..4) == 0 {
                content.set_len(at as u64);
                plain.resize(at, 0);
            } else {
                let bytes = vec![rng.u8(..3); rng.usize(..9000)];
                if bytes.is_empty() {
                    continue;
                }
                content.write(&bytes, at as u64);
                plain.resize(plain.len().max(at + bytes.len()), 0);
                plain[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            assert!(content.to_vec() == plain);
        }
    }

    #[test]
    fn copies_do_not_see_changes_and_holes_take_no_space() {
        let mut content = Content::default();
        content.set_len(100_000);
        assert_eq!(content.space_bytes(), 0);
        let before = content.clone();
        content.write(b"x", 50_000);
        content.write(&[0; PAGE_BYTES], 0);
        assert_eq!(content.space_bytes(), 2 * PAGE_BYTES as u64);
        assert!(before.to_vec().iter().all(|byte| *byte == 0));
    }
}
