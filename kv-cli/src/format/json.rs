//! json: an array of objects, or objects one after the other. Only one object is in memory at a
//! time.

use std::io::{self, BufRead};

use super::RowError;

/// Splits input into the texts of objects. What is between the braces is left to the parser.
pub struct Elements<R> {
    input: R,
    element: Vec<u8>,
    /// The line that the next byte is on, from 1.
    line: u64,
    place: Place,
    bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first object or the array.
    Start,
    /// Behind the bracket that opens the array.
    ArrayStart,
    /// Behind an object of the array.
    InArray,
    /// Behind a comma.
    AfterComma,
    /// Behind an object that is not in an array.
    InSequence,
    /// Behind the array.
    End,
}

impl<R: BufRead> Elements<R> {
    pub fn new(input: R, bytes_max: usize) -> Self {
        Self { input, element: Vec::new(), line: 1, place: Place::Start, bytes_max }
    }

    /// The line on which the next object begins, and its text.
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, RowError> {
        loop {
            let byte = self.next_beyond_space()?;
            self.place = match (self.place, byte) {
                (Place::Start, Some(b'[')) => Place::ArrayStart,
                (Place::Start | Place::InSequence | Place::End, None) => return Ok(None),
                (Place::InArray, Some(b',')) => Place::AfterComma,
                (Place::ArrayStart | Place::InArray, Some(b']')) => Place::End,
                (Place::Start | Place::InSequence, Some(b'{')) => {
                    self.place = Place::InSequence;
                    return self.object().map(Some);
                }
                (Place::ArrayStart | Place::AfterComma, Some(b'{')) => {
                    self.place = Place::InArray;
                    return self.object().map(Some);
                }
                (place, byte) => return Err(RowError::refused(self.line, unexpected(place, byte))),
            };
        }
    }

    /// Reads an object up to its closing brace. Its opening one was read.
    fn object(&mut self) -> Result<(u64, &[u8]), RowError> {
        let line = self.line;
        self.element.clear();
        self.element.push(b'{');
        let mut depth = 1_u64;
        let (mut in_string, mut is_escaped) = (false, false);
        while depth > 0 {
            let Some(byte) = self.byte()? else {
                return Err(RowError::refused(line, "the object that begins here is not closed"));
            };
            if self.element.len() == self.bytes_max {
                return Err(RowError::refused(line, format!("the object is longer than {} bytes", self.bytes_max)));
            }
            self.element.push(byte);
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_string => is_escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
        }
        Ok((line, &self.element))
    }

    fn next_beyond_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.byte()? {
                Some(byte) if byte.is_ascii_whitespace() => {}
                other => return Ok(other),
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let Some(&byte) = self.input.fill_buf()?.first() else { return Ok(None) };
        self.input.consume(1);
        self.line += u64::from(byte == b'\n');
        Ok(Some(byte))
    }
}

fn unexpected(place: Place, byte: Option<u8>) -> String {
    let expected = match place {
        Place::Start => "an array of objects, or objects",
        Place::ArrayStart => "an object or the end of the array",
        Place::InArray => "a comma or the end of the array",
        Place::AfterComma => "an object",
        Place::InSequence => "another object",
        Place::End => "nothing behind the array",
    };
    match byte {
        Some(byte) => format!("not JSON that can be imported: expected {expected}, found \"{}\"", byte.escape_ascii()),
        None => format!("not JSON that can be imported: expected {expected}, found the end of the input"),
    }
}
