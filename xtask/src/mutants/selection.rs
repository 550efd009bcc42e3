//! Which tests to run.

use std::fmt;

use serde::Deserialize;

use crate::Result;

/// Some tests of one test binary: a package, a target (`lib`, `lib-loom` for the library built for
/// loom, or the name of a file or folder in its `tests`; the one named `loom` is built for loom,
/// too), and filters. It selects the tests whose names contain one of the filters, or all
/// tests if there are none. In the tables it is written as words separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Selection {
    pub package: String,
    pub target: String,
    pub filters: Vec<String>,
}

impl Selection {
    /// Whether loom explores the interleavings of these tests.
    pub fn is_under_loom(&self) -> bool {
        matches!(&*self.target, "loom" | "lib-loom")
    }

    pub fn is_of_same_binary(&self, other: &Self) -> bool {
        (&self.package, &self.target) == (&other.package, &other.target)
    }
}

impl TryFrom<String> for Selection {
    type Error = String;

    fn try_from(text: String) -> Result<Self> {
        let mut words = text.split_whitespace().map(str::to_owned);
        match (words.next(), words.next()) {
            (Some(package), Some(target)) => Ok(Self { package, target, filters: words.collect() }),
            _ => Err(format!("{text:?} does not name a package and a target")),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.target)?;
        self.filters.iter().try_for_each(|filter| write!(f, " {filter}"))
    }
}

/// The tests of all selections, one selection for each binary.
pub fn merged<'a>(selections: impl IntoIterator<Item = &'a Selection>) -> Vec<Selection> {
    let mut merged: Vec<Selection> = Vec::new();
    for selection in selections {
        match merged.iter_mut().find(|of_binary| of_binary.is_of_same_binary(selection)) {
            None => merged.push(selection.clone()),
            Some(all) if all.filters.is_empty() => {}
            Some(all) if selection.filters.is_empty() => all.filters.clear(),
            Some(some) => {
                let new = selection.filters.iter().filter(|filter| !some.filters.contains(filter));
                let new: Vec<_> = new.cloned().collect();
                some.filters.extend(new);
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(text: &str) -> Selection {
        Selection::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_selection_is_a_package_a_target_and_filters() {
        let expected = Selection {
            package: "kv-wal".to_owned(),
            target: "it".to_owned(),
            filters: vec!["crash::".to_owned(), "calls::".to_owned()],
        };
        assert_eq!(selection(" kv-wal it  crash:: calls::"), expected);
        assert_eq!(expected.to_string(), "kv-wal it crash:: calls::");
        assert!(Selection::try_from("kv-wal".to_owned()).is_err());
    }

    #[test]
    fn selections_of_a_binary_are_merged() {
        let all = ["kv-wal it b", "kv-core it a", "kv-wal it a b", "kv-core it", "kv-core it c", "kv-core lib x"]
            .map(selection);
        let expected = ["kv-wal it b a", "kv-core it", "kv-core lib x"].map(selection);
        assert_eq!(merged(&all), expected);
    }
}
