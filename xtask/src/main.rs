//! The chores of the workspace: `cargo xtask --help`.
//!
//! `ci` runs everything that continuous integration checks, and changes no source file. `fix`
//! repairs what can be repaired automatically. `bench` and `compare` measure; `mutants` shows that
//! the tests can fail.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod asan;
mod bench;
mod ci;
mod command;
mod compare;
mod crash;
mod dependency_rules;
mod fuzz;
mod histories;
mod licence;
mod loom;
mod metadata;
mod mutants;
mod packages;
mod sanitizers;
mod system_tests;
mod tidy;

use std::{env, path::Path, process::ExitCode};

const HELP: &str = "\
The chores of the kv workspace.

Usage: cargo xtask COMMAND

  ci [STEP]... [--skip STEP]...
            check everything that continuous integration checks, or only the named steps. This changes
            no file outside of cargo's target directory
  fix       format the code, and apply clippy's automatic fixes
  loom      run the tests in which loom tries the interleavings of threads
  bench [FILTER] [--quick]
            run the benchmarks whose names contain FILTER; --quick makes a short run that only
            shows that they work
  compare [--quick] [--only WORKLOAD,…] [--engines A,B] [--json FILE]
            measure kv and other engines on the same workloads, and write a report; a stopped run
            is continued. --quick takes less than three minutes. RocksDB needs libclang, and 20
            minutes to build; --engines leaves it out. See also `compare --help`
  histories [--seeds N] [--seed S]
            check the histories of N runs (1000) with threads, crashes and faults, from seed S (0)
  fuzz [TARGET]... [--seconds N]
            feed hostile bytes to the decoders with libFuzzer. Each target, or each named one, runs
            for N seconds (20)
  asan      run the tests of maps and of their readers under AddressSanitizer
  crash [--states N [--part I/M] [--coverage] | --replay STATE] [--seed S]
            run the engine with crashes, failures, full disks and damage on a simulated disk, in
            about N states, or in the one STATE that a failure printed. --part tries one of M
            equal parts of them; --coverage prints which verbs, states and faults were reached
            together
  crash --real [--every N] [--seed S]
            run the `kv` command on the real system: kill it, and make it fail, at each system call or
            at one in N; with power cuts, full disks and failing flushes on ext4, XFS and btrfs (these
            need root)
  mutants [NAME]... [--quick] [--list]
            put known bugs into a copy of the code, one at a time, and check that the tests catch
            each. NAMEs select some, --quick a few fast ones; --list prints what there is

Steps of ci:
";

/// The result of a command. The error says what to do.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h", ..] if arguments.first() != Some(&"compare") => {
            print!("{HELP}{}", ci::steps_help());
            Ok(())
        }
        ["ci", rest @ ..] => ci::run(rest),
        ["fix"] => fix(),
        ["loom"] => loom::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["compare", rest @ ..] => compare::run(rest),
        ["histories", rest @ ..] => histories::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["asan"] => asan::run(),
        ["crash", rest @ ..] if rest.contains(&"--real") => system_tests::run(rest),
        ["crash", rest @ ..] => crash::run(rest),
        ["mutants", rest @ ..] => mutants::run(rest),
        _ => Err(format!("there is no command {:?}; see cargo xtask --help", arguments.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn fix() -> Result {
    command::cargo(["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"])?;
    command::cargo(["fmt", "--all"])?;
    command::run(&mut compare::cargo("clippy", &["--all-targets", "--fix", "--allow-dirty", "--allow-staged"])?)?;
    command::run(&mut compare::cargo("fmt", &[])?)
}
