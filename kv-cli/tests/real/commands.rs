//! Every command of `kv`, with each of its system calls on the store's files failing: the exit code
//! reports it, the data stays there, and a failing disk is never reported as damage.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    inject,
    kv::{Kv, Ran},
    mounts,
    strace::{self, Point, Subject},
    tools,
};

const COMMANDS: [&[&str]; 7] = [
    &["get", "c", "k"],
    &["put", "c", "new", "v"],
    &["delete", "c", "victim"],
    &["export", "c"],
    &["import", "c", "rows.tsv"],
    &["checkpoint"],
    &["verify"],
];

/// A store with two checkpoints and a tail.
fn template() -> Kv {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["put", "c", "victim", "v"]);
    kv.ok(&["checkpoint"]);
    kv.ok(&["put", "d", "k", "v"]);
    kv.ok(&["checkpoint"]);
    kv.ok(&["put", "c", "after", "v"]);
    kv.file("rows.tsv", "row-1\tv\nrow-2\tv\n");
    kv
}

fn subject(kv: &Kv, args: &'static [&'static str]) -> Subject {
    let (from, rows) = (kv.store(), kv.path("rows.tsv"));
    let prepare = move |home: &Path| {
        let (from, rows, home) = (from.to_str().unwrap(), rows.to_str().unwrap(), home.to_str().unwrap());
        mounts::command("cp", &["-r", from, rows, home]).unwrap();
    };
    let command = move |_: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
        command.args(args).env_remove("KV_DIR").env("RUST_BACKTRACE", "0");
        command
    };
    Subject { prepare: Box::new(prepare), command: Box::new(command), store: "kv-data" }
}

/// Checks the store after a command: what was there before is there, and what the command changes
/// is there completely or not at all.
fn check_store(home: &TempDir, args: &[&str], done: bool, why: &dyn std::fmt::Debug) {
    let run = |args: &[&str]| -> Ran {
        Command::new(env!("CARGO_BIN_EXE_kv"))
            .args(args)
            .current_dir(home)
            .env_remove("KV_DIR")
            .output()
            .unwrap()
            .into()
    };
    let verified = run(&["verify"]);
    assert_eq!(verified.code, 0, "{why:?}: {verified:?}");
    let listed = run(&["list", "c"]);
    assert_eq!(listed.code, 0, "{why:?}: {listed:?}");
    let keys = String::from_utf8(listed.out).unwrap();
    let before = "after\nk\nvictim\n";
    let allowed: &[&str] = match args[0] {
        "put" => &[before, "after\nk\nnew\nvictim\n"],
        "delete" => &[before, "after\nk\n"],
        "import" => &[before, "after\nk\nrow-1\nrow-2\nvictim\n"],
        _ => &[before],
    };
    let allowed = if done { &allowed[allowed.len() - 1..] } else { allowed };
    assert!(allowed.contains(&keys.as_str()), "{why:?}: {keys}");
}

fn try_point(subject: &Subject, points: &strace::Points, point: &Point, (fault, lasting): (&str, bool), args: &[&str]) {
    let run = subject.run(points, point, fault, lasting);
    let why = (args, fault, lasting, point);
    if fault == KILL && run.met {
        assert!(run.ended.was_killed(), "{why:?}: {:?}", run.ended);
        return check_store(&run.home, args, false, &why);
    }
    run.ended.expect_code(&[0, 6], &why);
    let done = run.ended.code() == Some(0);
    if !done {
        let line = &run.ended.err;
        assert!(line.starts_with("kv: ") && line.lines().count() == 1, "{why:?}: {line}");
        assert!(line.contains("os error") && line.contains("kv-data"), "{why:?}: {line}");
    }
    check_store(&run.home, args, done, &why);
}

const KILL: &str = "signal=KILL";

/// The faults that are tried at a call: an I/O error, once and from then on, and at calls that
/// write also a full disk and a kill.
fn faults(point: &Point) -> impl Iterator<Item = (&'static str, bool)> + use<> {
    let (fails, writes) = (point.call != "close", inject::writes(point));
    let faults = [
        (("error=EIO", false), fails),
        (("error=EIO", true), fails),
        (("error=ENOSPC", false), writes),
        ((KILL, false), writes),
    ];
    faults.into_iter().filter_map(|(fault, is_tried)| is_tried.then_some(fault))
}

#[test]
fn every_command_survives_the_failure_of_each_of_its_calls() {
    if !strace::works("the commands with failing system calls") {
        return;
    }
    let kv = template();
    let (mut tried, mut count) = (0, 0);
    for args in COMMANDS {
        let subject = subject(&kv, args);
        let points = subject.points();
        let all: Vec<_> = points.all.iter().flat_map(|point| faults(point).map(move |fault| (point, fault))).collect();
        count += all.len();
        for (point, fault) in tools::chosen(all) {
            try_point(&subject, &points, point, fault, args);
            tried += 1;
        }
    }
    tools::say(&format!("strace kv: {tried} of {count} failures of {} commands tried, none did harm", COMMANDS.len()));
}
