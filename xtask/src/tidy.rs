//! Checks how the sources read:
//!
//! - comments and Markdown are at most 100 columns wide;
//! - there is one style of module files, `name.rs` beside the folder `name`;
//! - relative links in Markdown lead to a tracked file, and to a heading of it;
//! - the words of `xtask/tidy/words.toml` are not used in comments, Markdown and string literals.
//!
//! It reads the Rust and Markdown files that git tracks. The layout of code is left to `cargo fmt`.

mod links;
mod markdown;
mod modules;
mod prose;
mod rust;
mod width;
mod words;

use std::{collections::BTreeMap, fmt, fs, io, process::Command};

use crate::{Result, command::output};
use links::Links;
use words::Words;

/// Names of Markdown files that a program writes: they are not wrapped by hand.
const GENERATED: [&str; 2] = ["RESULTS.md", "RESULTS-BY-SIZE.md"];

/// A tracked file.
struct File {
    /// From the root of the workspace.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_generated(&self) -> bool {
        GENERATED.iter().any(|name| self.path == *name || self.path.ends_with(&format!("/{name}")))
    }
}

/// What is wrong in a line, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks all tracked files, prints each violation, and how many there are in each crate.
pub fn check() -> Result {
    let paths = tracked()?;
    let words = Words::read(&crate::root().join("xtask/tidy/words.toml"))?;
    let complaints = complaints(&paths, &words, &read)?;
    if complaints.is_empty() {
        return Ok(());
    }
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    Err(format!("{} places to tidy up: {}", complaints.len(), counts(&complaints)))
}

/// Whether git can list the files.
pub fn is_available() -> bool {
    tracked().is_ok()
}

/// The paths of the files that git tracks.
fn tracked() -> Result<Vec<String>> {
    let listed = output(Command::new("git").args(["ls-files", "-z"]).current_dir(crate::root()))?;
    let paths = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}

/// The text of a tracked file; `None` if it was removed and git does not know yet.
fn read(path: &str) -> Result<Option<String>> {
    match fs::read_to_string(crate::root().join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {path}: {error}")),
    }
}

/// Everything that is wrong, by file and line.
fn complaints(
    paths: &[String],
    words: &Words,
    read: &dyn Fn(&str) -> Result<Option<String>>,
) -> Result<Vec<Complaint>> {
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".rs") || path.ends_with(".md")) {
        files.extend(read(path)?.map(|text| File { path: path.clone(), text }));
    }
    let links = Links::new(paths, &files);
    let mut complaints: Vec<Complaint> = files.iter().flat_map(|file| of_file(file, words, &links)).collect();
    complaints.sort();
    Ok(complaints)
}

fn of_file(file: &File, words: &Words, links: &Links<'_>) -> Vec<Complaint> {
    let mut found = Vec::new();
    found.extend(modules::check(&file.path));
    if !file.is_rust() {
        found.extend(links.check(file));
    }
    if !file.is_generated() {
        for block in prose::blocks(file) {
            found.extend(width::check(&block));
            found.extend(words.check(&file.path, &block));
        }
    }
    found.into_iter().map(|(line, message)| Complaint { path: file.path.clone(), line, message }).collect()
}

/// How many complaints there are in each crate: `kv-core 12, kv-wal 3`.
fn counts(complaints: &[Complaint]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for complaint in complaints {
        let folder = complaint.path.split_once('/').map_or("the root", |(folder, _)| folder);
        *counts.entry(folder).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(folder, count)| format!("{folder} {count}")).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_listed_by_file_and_line_and_counted_by_crate() {
        let long = format!("//! {}\n", "word ".repeat(30));
        let texts = BTreeMap::from([
            ("kv-a/src/lib.rs", format!("{long}\n/// Fine.\nfn f() {{}}\n/// Zounds.\nfn g() {{}}\n")),
            ("kv-a/src/store/mod.rs", String::new()),
            ("kv-b/RESULTS.md", "zounds ".repeat(30)),
            ("README.md", "[nowhere](docs/absent.md)\n".to_owned()),
            ("data.bin", "zounds".to_owned()),
        ]);
        let paths: Vec<String> = texts.keys().map(|&path| path.to_owned()).chain(["gone.rs".to_owned()]).collect();
        let words = Words::parse("[[word]]\nfind = ['zounds']\nuse = 'well'").unwrap();
        let complaints = complaints(&paths, &words, &|path| Ok(texts.get(path).cloned())).unwrap();
        let places: Vec<_> = complaints.iter().map(|one| (one.path.as_str(), one.line)).collect();
        let expected = [("README.md", 1), ("kv-a/src/lib.rs", 1), ("kv-a/src/lib.rs", 5), ("kv-a/src/store/mod.rs", 1)];
        assert_eq!(places, expected, "{complaints:#?}");
        assert!(complaints[2].to_string().starts_with("kv-a/src/lib.rs:5: \"Zounds\""), "{}", complaints[2]);
        assert_eq!(counts(&complaints), "kv-a 3, the root 1");
    }
}
