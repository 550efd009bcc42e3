//! The program as its user runs it, on a small scale.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::HashSet,
    fs::{self, File},
    path::Path,
    process::{Command, Output},
};

use kv_bench::harness::{
    summary::Summary,
    workloads::{WORKLOADS, When, Workload},
};

const LITTLE: &str = "--entries 3000 --large-entries 4000 --seconds 0.02";

/// Runs the command with the arguments, which are separated by spaces.
fn run(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kv-bench"))
        .arg("--output")
        .arg(directory)
        .args(arguments.split(' '))
        .output()
        .unwrap()
}

fn succeeds(directory: &Path, arguments: &str) -> (Summary, String) {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{output:?}");
    let json = fs::read(directory.join("compare.json")).unwrap();
    (serde_json::from_slice(&json).unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// What is measured without being named, wherever it is.
fn usual() -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(|workload| matches!(workload.when, When::Always | When::Unhurried))
}

#[test]
fn every_workload_is_measured_and_printed() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.json");
    let arguments = format!("{LITTLE} --engines kv --repetitions 1 --json {}", copy.display());
    let (summary, printed) = succeeds(directory.path(), &arguments);
    let mut measured = HashSet::new();
    measured.extend(
        summary.results.iter().filter(|figure| figure.engine == "kv").map(|figure| (&*figure.workload, figure.metric)),
    );
    for workload in usual() {
        assert!(measured.contains(&(workload.name, workload.headline)), "{}", workload.name);
    }
    assert!(summary.results.iter().all(|figure| figure.min <= figure.median && figure.median <= figure.max));
    assert!(summary.results.iter().all(|figure| figure.median >= 0.0 && figure.runs == 1));
    assert!(
        !summary.notes.iter().any(|note| note.contains("failed") || note.contains("not complete")),
        "{:?}",
        summary.notes
    );
    assert_eq!(fs::read(copy).unwrap(), fs::read(directory.path().join("compare.json")).unwrap());
    assert!(usual().all(|workload| printed.contains(workload.name)), "{printed}");
    assert!(!directory.path().join("data").exists());
}

#[test]
fn what_takes_very_long_or_needs_more_is_measured_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("{LITTLE} --engines kv --repetitions 1 --only open-killed-100m,get-limited-zipf-1");
    let (summary, _) = succeeds(directory.path(), &arguments);
    let measured: Vec<_> = summary.results.iter().map(|figure| &*figure.workload).collect();
    assert_eq!(measured, ["open-killed-100m"]);
    assert!(summary.notes.iter().any(|note| note.contains("--cgroup")), "{:?}", summary.notes);
    assert_eq!(summary.sizes, [3000, 4000, 40_000]);
}

#[test]
fn a_run_that_was_stopped_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = &format!("{LITTLE} --engines kv,kv-wal --only get-1,put-process-1,put-process-2 --repetitions 2");
    let (whole, printed) = succeeds(directory.path(), arguments);
    assert!(printed.contains("[ 12 of 12]"), "{printed}");
    let runs = directory.path().join("runs.jsonl");
    let text = fs::read_to_string(&runs).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (cut, _) = lines[5].split_at(lines[5].len() / 2);
    fs::write(&runs, format!("{}\n{cut}", lines[..5].join("\n"))).unwrap();

    let (part, _) = succeeds(directory.path(), "--report");
    assert!(part.notes.contains(&"the run is not complete".to_owned()));
    let other = run(directory.path(), &format!("{LITTLE} --engines kv --only get-1"));
    let errors = String::from_utf8(other.stderr).unwrap();
    assert!(!other.status.success() && errors.contains("was stopped, and this command cannot continue it"), "{errors}");
    let (again, printed) = succeeds(directory.path(), arguments);
    assert!(printed.contains("going on") && printed.contains("[  5 of 12]"), "{printed}");
    assert!(!printed.contains("[  4 of 12]"), "{printed}");
    assert!(fs::read_to_string(&runs).unwrap().starts_with(&format!("{}\n", lines[..5].join("\n"))));
    let what = |summary: &Summary| {
        summary
            .results
            .iter()
            .map(|figure| (figure.workload.clone(), figure.engine.clone(), figure.runs))
            .collect::<Vec<_>>()
    };
    assert_eq!(what(&whole), what(&again));

    let (_, printed) = succeeds(directory.path(), arguments);
    assert!(!printed.contains("going on"), "a complete run was taken for a stopped one: {printed}");
    fs::write(&runs, "nonsense").unwrap();
    assert!(!run(directory.path(), arguments).status.success());
    let (_, printed) = succeeds(directory.path(), &format!("{arguments} --fresh"));
    assert!(printed.contains("[ 12 of 12]"), "{printed}");
}

#[test]
fn two_runs_do_not_measure_in_one_directory() {
    let directory = tempfile::tempdir().unwrap();
    let other = File::create(directory.path().join("lock")).unwrap();
    other.lock().unwrap();
    let output = run(directory.path(), &format!("{LITTLE} --engines kv --only get-1"));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("another run measures in"), "{errors}");
}

#[test]
fn bad_arguments_are_refused_and_what_there_is_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        ("--engines kv,nothing", "there is no engine \"nothing\" in this build; there are kv, "),
        ("--only put-disk,nothing", "there is no workload \"nothing\"; there are put-disk-1, "),
        ("--report", "no run in "),
        ("--seconds 0", "above 0"),
        ("--entries 1", "100"),
    ] {
        let output = run(directory.path(), arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(expected), "{arguments}: {errors}");
    }
    assert!(!directory.path().join("runs.jsonl").exists());
}
