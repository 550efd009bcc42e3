//! Builds and runs tests of the copied workspace.

use std::{fmt, path::PathBuf, process::Command, time::Duration};

use serde::Deserialize;

use super::{
    libtest::{self, Outcome, Report},
    workspace::WorkspaceCopy,
};
use crate::{Result, command::cargo_command};

/// How many states each exploration of crashes tries: fewer than in the tests themselves, but
/// enough for these bugs.
const CRASH_STATES: &str = "2000";

/// Some tests of one test binary: a package, a target (`lib`, or the name of a file or folder in
/// its `tests`), and filters. It selects the tests whose names contain one of the filters, or all
/// tests if there are none. In the tables it is written as words separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Selection {
    pub package: String,
    pub target: String,
    pub filters: Vec<String>,
}

impl Selection {
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

/// Where tests are built and run.
pub struct Testing {
    pub sources: WorkspaceCopy,
    /// The target directory. It is kept from one run to the next, so that only changes are built.
    pub target: PathBuf,
}

/// A message of cargo. Only an artifact has an executable.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

impl Testing {
    /// Builds and runs tests, up to the first that fails.
    pub fn test(&self, selection: &Selection, limit: Duration) -> Result<Report> {
        let report = self.test_with(selection, &[], limit)?;
        match report.outcome {
            Outcome::Died(..) => self.test_with(selection, &["--test-threads=1"], limit), // to learn in which test
            _ => Ok(report),
        }
    }

    /// With options of the test harness.
    pub fn test_with(&self, selection: &Selection, options: &[&str], limit: Duration) -> Result<Report> {
        let binary = self.build(selection)?;
        let package = self.sources.root().join(&selection.package);
        let mut command = Command::new(binary);
        command.args(&selection.filters).args(options).current_dir(&package).env("CARGO_MANIFEST_DIR", &package);
        command.env("KV_CRASH_STATES", CRASH_STATES).env_remove("KV_CRASH_SEED").env_remove("KV_CRASH_REPLAY");
        command.env("INSTA_UPDATE", "no").env_remove("INSTA_FORCE_PASS");
        libtest::run(&mut command, limit)
    }

    /// Builds a test binary and returns its path.
    fn build(&self, selection: &Selection) -> Result<PathBuf> {
        let mut cargo = cargo_command();
        cargo.args(["test", "--locked", "--no-run", "--message-format", "json-render-diagnostics", "--package"]);
        cargo.arg(&selection.package);
        match selection.target.as_str() {
            "lib" => cargo.arg("--lib"),
            name => cargo.args(["--test", name]),
        };
        cargo.current_dir(self.sources.root()).env("CARGO_TARGET_DIR", &self.target);
        // These builds are frequent, and need no debug information.
        cargo.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!("{selection} does not build:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let mut binaries = messages.filter_map(|message| serde_json::from_slice::<Message>(message).ok()?.executable);
        binaries.next_back().ok_or_else(|| format!("cargo names no test binary of {selection}"))
    }
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
