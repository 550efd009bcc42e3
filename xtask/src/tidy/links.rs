//! Links between the files of the workspace.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    File,
    prose::{self, Block},
};

/// What links may lead to.
pub struct Links<'a> {
    /// Every tracked file, and every folder with one.
    paths: BTreeSet<&'a str>,
    /// The anchors of each Markdown file.
    anchors: BTreeMap<&'a str, BTreeSet<String>>,
}

impl<'a> Links<'a> {
    pub fn new(paths: &'a [String], files: &'a [File]) -> Self {
        let folders = paths.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
        let markdown = files.iter().filter(|file| !file.is_rust());
        Self {
            paths: paths.iter().map(String::as_str).chain(folders).chain([""]).collect(),
            anchors: markdown.map(|file| (file.path.as_str(), anchors(&file.text))).collect(),
        }
    }

    /// The links of a Markdown file that lead nowhere.
    pub fn check(&self, file: &File) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for block in prose::blocks(file) {
            for (line, target) in targets(&block) {
                found.extend(self.objection(&file.path, &target).map(|why| (line, why)));
            }
        }
        found
    }

    fn objection(&self, from: &str, target: &str) -> Option<String> {
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let to = if path.is_empty() { Some(from.to_owned()) } else { resolved(from, path) };
        let Some(to) = to.filter(|to| self.paths.contains(to.as_str())) else {
            return Some(format!("the link to {target:?} leads to no tracked file: correct it"));
        };
        let is_there = |anchor: &str| self.anchors.get(to.as_str()).is_none_or(|anchors| anchors.contains(anchor));
        match anchor {
            Some(anchor) if !is_there(anchor) => {
                Some(format!("the link to {target:?} names no heading of {to}: correct what follows the #"))
            }
            _ => None,
        }
    }
}

/// The path from the root to which a relative link leads; `None` if that is outside.
fn resolved(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The relative targets of links, and the lines that they are on.
fn targets(block: &Block) -> Vec<(usize, String)> {
    let text = block.text();
    let inline = text.match_indices("](").map(|(at, mark)| (at, &text[at + mark.len()..]));
    let inline = inline.filter_map(|(at, rest)| Some((at, rest.split(')').next()?)));
    let definitions = text.match_indices("]: ").map(|(at, mark)| (at, text[at + mark.len()..].lines().next()));
    let definitions = definitions.filter(|(at, _)| is_definition(&text[..*at]));
    let definitions = definitions.filter_map(|(at, rest)| Some((at, rest?)));
    let targets = inline.chain(definitions).filter_map(|(at, rest)| {
        let target = rest.split_whitespace().next()?.trim_matches(['<', '>']);
        (!has_scheme(target)).then(|| (block.line_at(&text, at), target.to_owned()))
    });
    targets.collect()
}

/// Whether the bracket that ends here began a line.
fn is_definition(before: &str) -> bool {
    before.lines().next_back().is_some_and(|line| line.trim_start().starts_with('['))
}

/// Whether a target is a URL.
fn has_scheme(target: &str) -> bool {
    let scheme = target.split_once(':').map_or("", |(scheme, _)| scheme);
    !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
}

/// The anchors that GitHub gives the headings of a Markdown file.
fn anchors(text: &str) -> BTreeSet<String> {
    let file = File { path: "x.md".to_owned(), text: text.to_owned() };
    let mut anchors = BTreeSet::new();
    for block in prose::blocks(&file) {
        let lines = block.lines.iter().filter(|line| line.kind == prose::Kind::Prose);
        for heading in lines.filter_map(|line| heading(&line.text)) {
            let anchor = anchor(heading);
            let numbered = (1..).map(|number| format!("{anchor}-{number}"));
            let free = std::iter::once(anchor.clone()).chain(numbered).find(|one| !anchors.contains(one));
            anchors.extend(free);
        }
    }
    anchors
}

/// The text of a heading.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then_some(text)?.strip_prefix(' ').map(str::trim)
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<(usize, String)> {
        let other = "# The engine\n\n## What's `kv-core`?\n\n## Again\n\n## Again\n\n```\n# no heading\n```\n";
        let paths = ["README.md", "docs/guide.md", "docs/ARCHITECTURE.md", "kv-core/src/lib.rs"].map(str::to_owned);
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [file("docs/guide.md", text), file("docs/ARCHITECTURE.md", other)];
        Links::new(&paths, &files).check(&files[0])
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        for good in [
            "[a](ARCHITECTURE.md)",
            "[a](../README.md), [b](./ARCHITECTURE.md#the-engine)",
            "[a](ARCHITECTURE.md#whats-kv-core) and [b](ARCHITECTURE.md#again-1)",
            "[a](../kv-core/src) ![b](../kv-core/src/lib.rs#L7 \"title\")",
            "# Here\n[a](#here) [b](<#here>)",
            "[a](https://example.org/absent.md#x) <mailto:a@example.org>",
            "`[a](absent.md)`\n\n```\n[a](absent.md)\n```",
            "[a]\n\n[a]: ARCHITECTURE.md",
        ] {
            assert_eq!(complaints(good), [], "{good}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_line() {
        for (bad, line, why) in [
            ("\n[a](absent.md)", 2, "leads to no tracked file"),
            ("| [a](absent.md) |", 1, "leads to no tracked file"),
            ("[a](../../README.md)", 1, "leads to no tracked file"),
            ("[a\nb](ARCHITECTURE.md#no-heading)", 2, "names no heading of docs/ARCHITECTURE.md"),
            ("[a](#here)", 1, "names no heading of docs/guide.md"),
            ("[a]\n\n[a]: absent.md", 3, "leads to no tracked file"),
        ] {
            let found = complaints(bad);
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert!(found[0].0 == line && found[0].1.contains(why), "{bad}: {found:?}");
        }
    }
}
