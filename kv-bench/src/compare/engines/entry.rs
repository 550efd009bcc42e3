//! An entry as bytes, in the simplest way: the lengths of key and value, four bytes each, then the key, then the value. Entries lie one
//! behind the other.

use std::io::{self, Write};

/// How many bytes an entry takes.
pub fn length(key: &[u8], value: &[u8]) -> usize {
    8 + key.len() + value.len()
}

/// Puts an entry at the end of what was written to `to`.
pub fn write(to: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    for length in [key.len(), value.len()] {
        let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        to.write_all(&length.to_le_bytes())?;
    }
    to.write_all(key)?;
    to.write_all(value)
}

/// Splits the first entry off: its key, its value, and what lies behind it. `None` if there is no whole one.
#[inline]
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_length, bytes) = bytes.split_first_chunk()?;
    let (value_length, bytes) = bytes.split_first_chunk()?;
    let (key, bytes) = bytes.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
    let (value, rest) = bytes.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
    Some((key, value, rest))
}

/// Calls `read` with every entry until it says `false`, and returns whether it never did.
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
    fn entries_come_back_in_order_until_no_more_are_wanted() {
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
    fn what_is_cut_off_is_no_entry() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"key", b"value").unwrap();
        assert!((0..bytes.len()).all(|end| split(&bytes[..end]).is_none()));
        assert_eq!(length(b"key", b"value"), bytes.len());
        assert_eq!(split(&bytes), Some((&b"key"[..], &b"value"[..], &[][..])));
    }
}
