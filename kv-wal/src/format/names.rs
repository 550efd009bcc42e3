//! The names of the files in a log's directory. They are built and parsed only here, and never come
//! from input.

/// The file that is locked while a log is open. It is never removed.
pub(crate) const LOCK: &str = "LOCK";
/// The file of the acknowledgement mark.
pub(crate) const MARK: &str = "MARK";
/// A segment, or a copy of the mark, that is still being prepared. Recovery ignores it.
pub(crate) const TEMPORARY: &str = "segment.tmp";

const SUFFIX: &str = ".wal";
const DIGITS: usize = 16;

/// The name of the segment with that number: sixteen lower-case hexadecimal digits and `.wal`.
pub(crate) fn segment(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// The number in the name of a segment; `None` if [`segment`] does not make exactly this name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let canonical = digits.len() == DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if canonical { u64::from_str_radix(digits, 16).ok().filter(|number| *number != 0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{segment, segment_number};

    #[test]
    fn a_name_parses_back_to_its_number_and_nothing_else_does() {
        for number in [1, 0xab, u64::MAX] {
            assert_eq!(segment_number(&segment(number)), Some(number));
        }
        for name in ["", ".wal", "1.wal", "000000000000000A.wal", "+00000000000000a.wal", "0000000000000001.wal~"] {
            assert_eq!(segment_number(name), None, "{name}");
        }
        assert_eq!(segment_number(&segment(0)), None, "segments count from one");
    }
}
