//! Finds the place of the next entry in a zero-filled file of fixed length.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path};

/// Creates a file of zeroes of `mebibytes` MiB. Writes into it need no new space and change no
/// metadata.
pub fn zero_filled(path: &Path, mebibytes: u64) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeroes = vec![0; 1 << 20];
    for mebibyte in 0..mebibytes {
        file.write_all_at(&zeroes, mebibyte << 20)?;
    }
    Ok(file)
}

/// The places of entries: each follows the last, and they start again at 0 when the end is reached.
pub struct Ring {
    length: usize,
    end: usize,
}

impl Ring {
    pub fn new(mebibytes: u64) -> Self {
        Self { length: (mebibytes as usize) << 20, end: 0 }
    }

    /// The place of the next entry. Places start at multiples of 8.
    pub fn next(&mut self, bytes: usize) -> io::Result<Range<usize>> {
        let bytes = bytes.next_multiple_of(8);
        if bytes > self.length {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let start = if self.length - self.end < bytes { 0 } else { self.end };
        self.end = start + bytes;
        Ok(start..self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_and_never_pass_the_end() {
        let mut ring = Ring::new(1);
        assert_eq!(ring.next(124).unwrap(), 0..128);
        assert_eq!(ring.next(1).unwrap(), 128..136);
        assert_eq!(ring.next((1 << 20) - 136).unwrap(), 136..1 << 20);
        assert_eq!(ring.next(8).unwrap(), 0..8);
        assert_eq!(ring.next(1 << 20).unwrap(), 0..1 << 20);
        assert!(ring.next((1 << 20) + 1).is_err());
    }
}
