use std::io::{BufRead, Read};

use super::RowError;

/// Splits input into lines. Holds one line at a time, and none that is too long.
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    bytes_max: usize,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R, bytes_max: usize) -> Self {
        Self { input, line: Vec::new(), number: 0, bytes_max }
    }

    /// The next line that has more than space on it.
    pub fn next_that_is_not_blank(&mut self) -> Result<Option<(u64, &[u8])>, RowError> {
        while self.advance()? {
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, &self.line)));
            }
        }
        Ok(None)
    }

    /// The next line's number, from 1, and its bytes without the line feed. The last line need not
    /// have one.
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, RowError> {
        Ok(if self.advance()? { Some((self.number, &self.line)) } else { None })
    }

    fn advance(&mut self) -> Result<bool, RowError> {
        self.line.clear();
        // One more byte, for the line feed.
        let limit = self.bytes_max as u64 + 1;
        if self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() > self.bytes_max {
            let reason = format!("the line is longer than {} bytes", self.bytes_max);
            return Err(RowError::refused(self.number, reason));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_bounded() {
        let mut lines = Lines::new(&b"ab\n\nabc\nabcd\n"[..], 3);
        assert_eq!(lines.next().unwrap(), Some((1, &b"ab"[..])));
        assert_eq!(lines.next().unwrap(), Some((2, &b""[..])));
        assert_eq!(lines.next().unwrap(), Some((3, &b"abc"[..])));
        let error = lines.next().unwrap_err();
        assert_eq!(error.to_string(), "line 4: the line is longer than 3 bytes");
    }

    #[test]
    fn the_last_line_needs_no_line_feed() {
        let mut lines = Lines::new(&b"a\nb"[..], 3);
        assert_eq!(lines.next().unwrap(), Some((1, &b"a"[..])));
        assert_eq!(lines.next().unwrap(), Some((2, &b"b"[..])));
        assert_eq!(lines.next().unwrap(), None);
    }
}
