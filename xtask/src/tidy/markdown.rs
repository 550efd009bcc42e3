//! The small part of Markdown that the checks need, in files and in comments.

use super::prose::{Kind, Line};

/// Finds the lines that are code or tables.
pub fn mark(lines: &mut [Line]) {
    let mut reader = Reader::default();
    for line in lines {
        line.kind = reader.kind(&line.text);
    }
}

#[derive(Default)]
struct Reader {
    /// The fence that opened the current code block.
    fence: Option<String>,
    /// Whether the last line was blank, or there was none.
    after_blank: Option<bool>,
    in_list: bool,
    in_indented_code: bool,
}

impl Reader {
    fn kind(&mut self, text: &str) -> Kind {
        let trimmed = text.trim();
        if let Some(fence) = &self.fence {
            if trimmed.starts_with(fence.as_str()) && trimmed.trim_start_matches(&fence[..1]).is_empty() {
                self.fence = None;
            }
            return Kind::Code;
        }
        if let Some(fence) = fence(trimmed) {
            self.fence = Some(fence.to_owned());
            return Kind::Code;
        }
        match self.is_indented_code(text, trimmed) {
            true => Kind::Code,
            false if trimmed.starts_with('|') => Kind::Table,
            false => Kind::Prose,
        }
    }

    /// Whether the line is code because it has four spaces after a blank line. Lines that continue
    /// an item of a list are not.
    fn is_indented_code(&mut self, text: &str, trimmed: &str) -> bool {
        let after_blank = self.after_blank.replace(trimmed.is_empty()).unwrap_or(true);
        if trimmed.is_empty() {
            return self.in_indented_code;
        }
        let is_indented = text.starts_with("    ");
        self.in_list = is_item(trimmed) || self.in_list && (text.starts_with(' ') || !after_blank);
        self.in_indented_code = is_indented && !self.in_list && (after_blank || self.in_indented_code);
        self.in_indented_code
    }
}

/// The backticks or tildes with which a code block begins.
fn fence(trimmed: &str) -> Option<&str> {
    let first = trimmed.chars().next().filter(|first| ['`', '~'].contains(first))?;
    let len = trimmed.chars().take_while(|c| *c == first).count();
    (len >= 3).then(|| &trimmed[..len])
}

fn is_item(trimmed: &str) -> bool {
    item_marker(trimmed).is_some()
}

/// The marker with which an item of a list begins, such as `- ` and `12. `.
pub fn item_marker(trimmed: &str) -> Option<&str> {
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let mark = match trimmed.as_bytes().get(digits) {
        Some(b'-' | b'*' | b'+') if digits == 0 => 1,
        Some(b'.' | b')') if digits > 0 => digits + 1,
        _ => return None,
    };
    (trimmed.as_bytes().get(mark) == Some(&b' ')).then(|| &trimmed[..=mark])
}

/// The text without code: each span between backticks is replaced by one backtick and the line ends
/// in it. Spans do not reach over a blank line.
pub fn without_code_spans(text: &str) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(paragraph_without_code_spans).collect();
    paragraphs.join("\n\n")
}

fn paragraph_without_code_spans(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        let ticks = rest[at..].bytes().take_while(|byte| *byte == b'`').count();
        let behind = &rest[at + ticks..];
        let Some(end) = closing(behind, ticks) else {
            kept.push_str(&rest[..at + ticks]);
            rest = behind;
            continue;
        };
        kept.push_str(&rest[..at]);
        // Not a space: the words before and behind the span must not look like one phrase.
        kept.push('`');
        kept.extend(behind[..end].chars().filter(|c| *c == '\n'));
        rest = &behind[end + ticks..];
    }
    kept + rest
}

/// Where a run of exactly that many backticks begins.
fn closing(text: &str, ticks: usize) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find('`').map(|at| from + at) {
        let run = text[at..].bytes().take_while(|byte| *byte == b'`').count();
        if run == ticks {
            return Some(at);
        }
        from = at + run;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str) -> Vec<&str> {
        let mut reader = Reader::default();
        text.lines().filter(|line| reader.kind(line) == Kind::Prose && !line.is_empty()).collect()
    }

    #[test]
    fn code_blocks_and_tables_are_no_prose() {
        assert_eq!(prose("a\n```text\ncode\n```\nb\n"), ["a", "b"]);
        assert_eq!(prose("a\n````\n```\ncode\n````\nb\n"), ["a", "b"]);
        assert_eq!(prose("~~~\n```\n~~~\nb"), ["b"]);
        assert_eq!(prose("a\n| x | y |\n|---|---|\n\nb"), ["a", "b"]);
    }

    #[test]
    fn indented_code_is_no_prose_unless_it_goes_on_with_a_list() {
        assert_eq!(prose("a\n\n    code\n\n    code\nb"), ["a", "b"]);
        assert_eq!(prose("    code"), Vec::<&str>::new());
        assert_eq!(prose("a\n    still a"), ["a", "    still a"]);
        assert_eq!(prose("- a\n\n    still a\n\nb\n\n    code"), ["- a", "    still a", "b"]);
    }

    #[test]
    fn code_spans_are_taken_out_and_lines_stay() {
        assert_eq!(without_code_spans("a `b` c ``d ` e`` f"), "a ` c ` f");
        assert_eq!(without_code_spans("a `b\nc` d"), "a `\n d");
        assert_eq!(without_code_spans("a ` b\n\nc ` d"), "a ` b\n\nc ` d");
    }

    #[test]
    fn markers_of_items_are_known() {
        for (text, marker) in [("- a", Some("- ")), ("12. a", Some("12. ")), ("-a", None), ("1 a", None), ("", None)] {
            assert_eq!(item_marker(text), marker, "{text}");
        }
    }
}
