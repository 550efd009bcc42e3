//! The simplest encoding of an entry: the lengths of key and value, 4 bytes each (little-endian),
//! then the key, then the value. Entries follow each other without a gap.

use std::io::{self, Write};

/// The length of an encoded entry, in bytes.
pub fn length(key: &[u8], value: &[u8]) -> usize {
    8 + key.len() + value.len()
}

/// Appends an entry to `to`.
///
/// # Errors
/// Those of `to`; [`InvalidInput`](io::ErrorKind::InvalidInput) if key or value has 4 GiB or more.
pub fn write(to: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    for length in [key.len(), value.len()] {
        let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        to.write_all(&length.to_le_bytes())?;
    }
    to.write_all(key)?;
    to.write_all(value)
}

/// Splits off the first entry: its key, its value, and the bytes that follow. `None` if there is no
/// complete entry.
#[inline]
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_length, bytes) = bytes.split_first_chunk()?;
    let (value_length, bytes) = bytes.split_first_chunk()?;
    let (key, bytes) = bytes.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
    let (value, rest) = bytes.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
    Some((key, value, rest))
}

/// Calls `read` with each entry until it returns `false`. Returns whether all entries were read.
pub fn scan(mut bytes: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> bool {
    while let Some((key, value, rest)) = split(bytes) {
        if !read(key, value) {
            return false;
        }
        bytes = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_in_order_until_no_more_are_wanted() {
        let mut bytes = Vec::new();
        for (key, value) in [("one", "1"), ("", ""), ("two", "22")] {
            write(&mut bytes, key.as_bytes(), value.as_bytes()).unwrap();
        }
        let mut found = Vec::new();
        assert!(scan(&bytes, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            true
        }));
        assert_eq!(found, [(b"one".into(), b"1".into()), (vec![], vec![]), (b"two".into(), b"22".into())]);
        assert!(!scan(&bytes, &mut |key, _| key != b"two"));
    }

    #[test]
    fn an_incomplete_entry_is_none() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"key", b"value").unwrap();
        assert!((0..bytes.len()).all(|end| split(&bytes[..end]).is_none()));
        assert_eq!(length(b"key", b"value"), bytes.len());
        assert_eq!(split(&bytes), Some((&b"key"[..], &b"value"[..], &[][..])));
    }
}
