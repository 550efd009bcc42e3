//! The flawed backends of kv-testkit's own tests. Each of those tests passes if cases of the suites
//! find its flaw, and prints which cases did.

use super::{SOUND_LIMIT, Tally, Verdict, libtest::Outcome, selection::Selection, testing::Testing};
use crate::Result;

const TESTS: &str = "kv-testkit it flawed_";

/// Runs the suites over the flawed backends with these names, or over all.
pub fn run(testing: &Testing, names: &[&str], tally: &mut Tally) -> Result {
    let mut selection = Selection::try_from(TESTS.to_owned())?;
    let mut options = vec!["--show-output"];
    if !names.is_empty() {
        selection.filters = names.iter().map(|name| (*name).to_owned()).collect();
        options.push("--exact");
    }
    let report = testing.test_with(&selection, &options, SOUND_LIMIT)?;
    for (name, case) in report.lines.iter().filter_map(|line| caught(line)) {
        tally.note(name, &Verdict::Caught(format!("kv-testkit {case}")), None);
    }
    match report.outcome {
        Outcome::Passed if !names.is_empty() || !tally.names.is_empty() => Ok(()),
        Outcome::Passed => Err(format!("no flawed backend was tried: {TESTS}")),
        Outcome::Failed(name) => {
            tally.note(
                &name,
                &Verdict::Missed("the suites do not find the flaw, or find another one".to_owned()),
                None,
            );
            Ok(())
        }
        outcome => Err(format!("{outcome} of {selection}")),
    }
}

/// The flaw and the cases that found it, if the line reports that.
fn caught(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("caught: ")?.split_once(" by ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_flaws_are_told_from_others() {
        assert_eq!(caught("caught: flawed_log::leaves_gaps by l1, l7"), Some(("flawed_log::leaves_gaps", "l1, l7")));
        assert_eq!(caught("test flawed_log::leaves_gaps ... ok"), None);
    }
}
