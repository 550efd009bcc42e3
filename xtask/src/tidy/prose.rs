//! What people read in a file, in blocks of lines that belong together.

use super::{File, markdown, rust};

/// Where a block of text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Comment,
    Markdown,
    Literal,
}

/// Lines that belong together: a comment, a Markdown file, a string literal.
#[derive(Debug)]
pub struct Block {
    pub source: Source,
    pub lines: Vec<Line>,
}

#[derive(Debug)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Without the marker of a comment.
    pub text: String,
    /// How many columns the line of the file has; 0 if it begins with code.
    pub columns: usize,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Prose,
    Table,
    /// In a code block.
    Code,
}

impl Line {
    pub fn new(number: usize, text: impl Into<String>, columns: usize) -> Self {
        Self { number, text: text.into(), columns, kind: Kind::Prose }
    }
}

impl Block {
    /// The text without code, line by line.
    pub fn text(&self) -> String {
        let line = |line: &Line| if line.kind == Kind::Code { String::new() } else { line.text.clone() };
        let lines: Vec<String> = self.lines.iter().map(line).collect();
        markdown::without_code_spans(&lines.join("\n"))
    }

    /// The line of the file that a place in [`text`](Self::text) is on.
    pub fn line_at(&self, text: &str, at: usize) -> usize {
        self.lines[text[..at].matches('\n').count()].number
    }
}

/// All blocks of a file.
pub fn blocks(file: &File) -> Vec<Block> {
    let mut blocks = if file.is_rust() { rust::blocks(&file.text) } else { vec![whole(&file.text)] };
    for block in blocks.iter_mut().filter(|block| block.source != Source::Literal) {
        markdown::mark(&mut block.lines);
    }
    blocks
}

/// A Markdown file as one block.
fn whole(text: &str) -> Block {
    let lines = text.lines().zip(1..).map(|(text, number)| Line::new(number, text, text.chars().count()));
    Block { source: Source::Markdown, lines: lines.collect() }
}
