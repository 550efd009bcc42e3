//! Finds the comments and string literals in Rust code.

use super::prose::{Block, Line, Source};

/// The comments and string literals of a file, in their order. Comment lines with the same marker
/// that follow one another are one block.
pub fn blocks(text: &str) -> Vec<Block> {
    let chars: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { chars: &chars, at: 0, line: 1, line_start: 0, blocks: Vec::new(), marker: "" };
    while scanner.at < chars.len() {
        scanner.step();
    }
    scanner.blocks
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
    /// The line of the next character, from 1.
    line: usize,
    /// Where that line begins.
    line_start: usize,
    blocks: Vec<Block>,
    /// The marker of the last block, if it is a comment.
    marker: &'static str,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn bump(&mut self) {
        self.at += 1;
        if self.chars[self.at - 1] == '\n' {
            self.line += 1;
            self.line_start = self.at;
        }
    }

    fn step(&mut self) {
        match (self.chars[self.at], self.peek(1)) {
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.character_or_lifetime(),
            (c, _) if c.is_alphanumeric() || c == '_' => self.word(),
            _ => self.bump(),
        }
    }

    /// Whether nothing but space precedes on this line.
    fn begins_its_line(&self) -> bool {
        self.chars[self.line_start..self.at].iter().all(|c| c.is_whitespace())
    }

    fn end_of_line(&self) -> usize {
        let rest = self.chars[self.at..].iter();
        self.at + rest.take_while(|c| **c != '\n').count()
    }

    fn line_comment(&mut self) {
        let marker = match (self.peek(2), self.peek(3)) {
            (Some('!'), _) => "//!",
            (Some('/'), next) if next != Some('/') => "///",
            _ => "//",
        };
        let end = self.end_of_line();
        let text: String = self.chars[self.at + marker.len()..end].iter().collect();
        let text = text.strip_prefix(' ').unwrap_or(&text).to_owned();
        let begins = self.begins_its_line();
        let columns = if begins { end - self.line_start } else { 0 };
        let line = Line::new(self.line, text, columns);
        match self.blocks.last_mut().filter(|block| begins && goes_on(block, self.line)) {
            Some(block) if self.marker == marker => block.lines.push(line),
            _ => self.blocks.push(Block { source: Source::Comment, lines: vec![line] }),
        }
        self.marker = marker;
        self.at = end;
    }

    fn block_comment(&mut self) {
        let (first, start, mut depth) = (self.line, self.line_start, 0);
        let mut text = String::new();
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => break,
                (Some(c), _) => {
                    text.push(c);
                    self.bump();
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                break;
            }
        }
        let whole: String = self.chars[start..self.end_of_line()].iter().collect();
        let lines = text.split('\n').zip(whole.split('\n')).zip(first..);
        let lines = lines.map(|((text, whole), number)| Line::new(number, text.trim(), whole.chars().count()));
        self.blocks.push(Block { source: Source::Comment, lines: lines.collect() });
        self.marker = "/*";
    }

    /// A name or number, or the prefix of a literal.
    fn word(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        if ["r", "br", "cr"].contains(&word.as_str()) {
            let hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
            if self.peek(hashes) == Some('"') {
                self.raw_string(hashes);
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += hashes + 1;
        let first = self.line;
        let mut text = String::new();
        while let Some(c) = self.peek(0) {
            if c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                break;
            }
            text.push(c);
            self.bump();
        }
        self.at = (self.at + hashes + 1).min(self.chars.len());
        self.literal(first, &text);
    }

    /// A string with escapes. An escape that does not stand for text becomes a space.
    fn string(&mut self) {
        self.at += 1;
        let first = self.line;
        let mut text = String::new();
        while let Some(c) = self.peek(0).filter(|c| *c != '"') {
            self.bump();
            let escaped = self.peek(0).filter(|_| c == '\\');
            text.push(match escaped {
                None => c,
                Some(text @ ('"' | '\'' | '\\' | '\n')) => text,
                Some(_) => ' ',
            });
            if escaped.is_some() {
                self.bump();
            }
        }
        self.at = (self.at + 1).min(self.chars.len());
        self.literal(first, &text);
    }

    fn literal(&mut self, first: usize, text: &str) {
        let lines = text.split('\n').zip(first..).map(|(text, number)| Line::new(number, text, 0));
        self.blocks.push(Block { source: Source::Literal, lines: lines.collect() });
        self.marker = "";
    }

    fn character_or_lifetime(&mut self) {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                self.at += 3;
                while self.peek(0).is_some_and(|c| c != '\'' && c != '\n') {
                    self.at += 1;
                }
                self.at += 1;
            }
            (Some(_), Some('\'')) => self.at += 3,
            _ => self.at += 1,
        }
    }
}

/// Whether a comment in this line continues the block.
fn goes_on(block: &Block, line: usize) -> bool {
    let last = block.lines.last().filter(|last| last.columns > 0 && last.number + 1 == line);
    block.source == Source::Comment && last.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of a line, its text, and whether it begins with the comment.
    type Found = (usize, String, bool);

    fn found(text: &str) -> Vec<(Source, Vec<Found>)> {
        let lines = |block: &Block| {
            let lines = block.lines.iter().map(|line| (line.number, line.text.clone(), line.columns > 0));
            (block.source, lines.collect())
        };
        blocks(text).iter().map(lines).collect()
    }

    fn literals(text: &str) -> Vec<String> {
        let blocks = blocks(text).into_iter().filter(|block| block.source == Source::Literal);
        blocks.map(|block| block.lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn comments_with_one_marker_are_one_block() {
        let text = "//! a\n//! b\n\n/// c\n// d\nf(); // e\n    // f\n    // g\n//// h";
        let line = |number, text: &str, begins| (number, text.to_owned(), begins);
        let expected = [
            vec![line(1, "a", true), line(2, "b", true)],
            vec![line(4, "c", true)],
            vec![line(5, "d", true)],
            vec![line(6, "e", false)],
            vec![line(7, "f", true), line(8, "g", true), line(9, "// h", true)],
        ];
        assert_eq!(found(text), expected.map(|lines| (Source::Comment, lines)));
    }

    #[test]
    fn block_comments_nest() {
        let line = |number, text: &str| (number, text.to_owned(), true);
        let expected = (Source::Comment, vec![line(2, "a"), line(3, "b  c")]);
        assert_eq!(found("\n/* a\nb /* c */ */ let s = 1;"), [expected]);
    }

    #[test]
    fn literals_are_told_from_code() {
        assert_eq!(
            literals(r##"f("a // b", r#"c "d" e"#, br"g\", b"h", c"i", 'j', '"', b'"', '\'', "k")"##),
            ["a // b", r#"c "d" e"#, r"g\", "h", "i", "k"]
        );
        assert_eq!(literals("fn f<'a, 'b>(x: &'a str) { 'l: loop {} } // \"no\"\n\"yes\""), ["yes"]);
        assert_eq!(literals("r#type + \"a\""), ["a"]);
    }

    #[test]
    fn escapes_and_lines_are_resolved() {
        assert_eq!(literals(r#""a\nb\"c\\d\u{e9}""#), [r#"a b"c\d {e9}"#]);
        assert_eq!(found("\n\"a \\\n   b\nc\"\n// d").len(), 2);
        assert_eq!(literals("\n\"a \\\n   b\nc\""), ["a |   b|c"]);
        assert_eq!(found("\"a\nb\"\n// d")[1].1[0].0, 3);
    }
}
