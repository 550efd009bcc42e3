//! The data set, and what the store should hold of it.

use std::{collections::BTreeMap, io};

use kv_store::Store;

use super::UNICODE;
use crate::{
    failure::{Context, Failure},
    format::{Input, Reading, Rows},
    output::{escaped, grouped},
};

/// See the README.md beside the file.
static TSV: &[u8] = include_bytes!("../../data/unicode.tsv");

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rows of the data set.
pub fn rows() -> io::Result<Box<dyn Rows>> {
    Reading { input: Some(Input::Tsv), ..Reading::default() }.rows(TSV)
}

/// The data set as it was, and as the store should hold it now.
pub struct Unicode {
    original: Entries,
    pub expected: Entries,
}

impl Unicode {
    pub fn embedded() -> Result<Self, Failure> {
        let wrong = |e| Failure::Damaged(format!("the data set in this program is damaged: {e}"));
        let mut rows = rows().doing(|| "cannot read the data set".into())?;
        let mut original = Entries::new();
        while let Some(row) = rows.next().map_err(wrong)? {
            original.insert(row.key, row.value);
        }
        Ok(Self { expected: original.clone(), original })
    }

    /// Checks that the store holds what is expected, by key and in order. Entries that the user has
    /// added are only counted.
    pub fn check(&self, store: &Store) -> Result<((), String), Failure> {
        let doing = || format!("cannot read {UNICODE:?} back");
        let collection = store.collection(UNICODE).doing(doing)?;
        for (key, value) in &self.expected {
            if collection.get(key).doing(doing)?.as_deref() != Some(value.as_slice()) {
                return Err(wrong(key, "is not what was written, when read by key"));
            }
        }
        let mut expected = self.expected.iter();
        let mut foreign = 0;
        for entry in collection.iter() {
            let entry = entry.doing(doing)?;
            if !self.original.contains_key(&*entry.key) {
                foreign += 1;
                continue;
            }
            let Some((key, value)) = expected.next() else { return Err(wrong(&entry.key, "should not be there")) };
            if entry.key != *key || entry.value != *value {
                return Err(wrong(&entry.key, "is not what was written, when read in order"));
            }
        }
        if let Some((key, _)) = expected.next() {
            return Err(wrong(key, "is missing when read in order"));
        }
        Ok(((), self.summary(foreign)))
    }

    fn summary(&self, foreign: u64) -> String {
        let (here, gone) = (self.expected.len() as u64, self.original.len() - self.expected.len());
        let mut text = format!("all {} code points are right", grouped(here));
        if gone > 0 {
            text += &format!(", {gone} are gone");
        }
        if foreign > 0 {
            text += &format!(" (and {} of yours)", grouped(foreign));
        }
        text
    }
}

fn wrong(key: &[u8], how: &str) -> Failure {
    Failure::Damaged(format!("a check failed: the entry {} of {UNICODE:?} {how}", escaped(key)))
}

/// New values for the upper-case letters.
pub fn overwrites(entries: &Entries) -> Entries {
    let upper_case = entries.iter().filter(|(_, value)| contains(value, b"\"category\":\"Lu\""));
    upper_case.map(|(key, value)| (key.clone(), with_note(value))).collect()
}

fn with_note(object: &[u8]) -> Vec<u8> {
    let open = object.strip_suffix(b"}").unwrap_or(object);
    [open, b",\"note\":\"overwritten by the demo\"}"].concat()
}

/// The rows that stand for the first or last character of a range, and not for a character of their
/// own.
pub fn deletions(entries: &Entries) -> Vec<Vec<u8>> {
    let end_of_range = |value: &[u8]| contains(value, b", First>\"") || contains(value, b", Last>\"");
    entries.iter().filter(|(_, value)| end_of_range(value)).map(|(key, _)| key.clone()).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_set_is_what_its_readme_says() {
        let unicode = Unicode::embedded().unwrap();
        assert_eq!(unicode.original.len(), 34_924);
        let smile = &unicode.original[b"U+1F600".as_slice()];
        assert!(smile.starts_with(b"{\"name\":\"GRINNING FACE\","));
        assert_eq!(overwrites(&unicode.original).len(), 1_831);
        assert_eq!(deletions(&unicode.original).len(), 36);
        for value in unicode.original.values().chain(overwrites(&unicode.original).values()) {
            serde_json::from_slice::<serde_json::Map<_, _>>(value).unwrap();
        }
    }
}
