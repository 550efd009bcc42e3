//! How wide prose is.

use super::{
    markdown::item_marker,
    prose::{Block, Kind, Line, Source},
};

/// How many columns a line of a comment or of Markdown has at most.
const COLUMNS_MAX: usize = 100;

/// The lines that are too wide. Code blocks, tables and lines that cannot be wrapped may be too
/// wide.
pub fn check(block: &Block) -> impl Iterator<Item = (usize, String)> {
    let is_too_wide = |line: &&Line| {
        let is_wrapped = block.source != Source::Literal && line.kind == Kind::Prose;
        is_wrapped && line.columns > COLUMNS_MAX && !is_unbreakable(&line.text)
    };
    block.lines.iter().filter(is_too_wide).map(|Line { number, columns, .. }| {
        (*number, format!("{columns} columns: wrap comments and Markdown at {COLUMNS_MAX}"))
    })
}

/// Whether a line is one word or one link, and so cannot be wrapped.
fn is_unbreakable(text: &str) -> bool {
    let text = text.trim();
    let text = item_marker(text).map_or(text, |marker| &text[marker.len()..]).trim();
    let text = text.trim_start_matches('#').trim_start();
    !text.contains(char::is_whitespace) || is_link(text) || is_definition(text)
}

/// `[text](target)`, with an image or a full stop perhaps, and nothing else.
fn is_link(text: &str) -> bool {
    let text = text.trim_start_matches('!').trim_end_matches(['.', ',', ';', ':']);
    text.starts_with('[') && text.ends_with(')') && text.matches("](").count() == 1
}

/// `[text]: target`
fn is_definition(text: &str) -> bool {
    let target = text.strip_prefix('[').and_then(|text| text.split_once("]: "));
    target.is_some_and(|(_, target)| !target.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{File, prose};

    fn too_wide(path: &str, text: &str) -> Vec<usize> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        prose::blocks(&file).iter().flat_map(check).map(|(line, _)| line).collect()
    }

    const NOWHERE: [usize; 0] = [];

    /// Words that take that many columns.
    fn words(columns: usize) -> String {
        "word ".repeat(columns)[..columns - 1].to_owned() + "."
    }

    #[test]
    fn a_comment_has_at_most_100_columns() {
        for (marker, rest) in [("// ", 97), ("/// ", 96), ("//! ", 96), ("    // ", 93), ("// é", 96)] {
            assert_eq!(too_wide("a.rs", &format!("{marker}{}\n", words(rest))), NOWHERE, "{marker}");
            assert_eq!(too_wide("a.rs", &format!("\n{marker}{}\n", words(rest + 1))), [2], "{marker}");
        }
        let (_, message) =
            check(&prose::blocks(&File { path: "a.rs".into(), text: format!("// {}", words(98)) })[0]).next().unwrap();
        assert_eq!(message, "101 columns: wrap comments and Markdown at 100");
    }

    #[test]
    fn markdown_has_at_most_100_columns() {
        assert_eq!(too_wide("a.md", &words(100)), NOWHERE);
        assert_eq!(too_wide("a.md", &format!("- {}\n", words(99))), [1]);
    }

    #[test]
    fn code_is_as_wide_as_it_is() {
        let wide = words(150);
        assert_eq!(too_wide("a.rs", &format!("f(\"{wide}\");\nf(1); // {wide}\nf(\"\n// {wide}\");")), NOWHERE);
        assert_eq!(too_wide("a.rs", &format!("/// ```\n/// {wide}\n/// ```\n/// {wide}")), [4]);
        assert_eq!(too_wide("a.md", &format!("| {wide} |\n\n    {wide}\n\n```\n{wide}\n```\n")), NOWHERE);
    }

    #[test]
    fn what_cannot_be_wrapped_need_not_be() {
        let long = "x".repeat(120);
        let unbreakable = [
            long.clone(),
            format!("- <https://{long}>"),
            format!("[some words](https://{long})."),
            format!("![some words](https://{long})"),
            format!("[some words]: https://{long}"),
        ];
        for line in unbreakable {
            assert_eq!(too_wide("a.md", &line), NOWHERE, "{line}");
            assert_eq!(too_wide("a.md", &format!("word {line}")), [1], "{line}");
        }
    }
}
