//! The chores of the workspace: `cargo xtask --help`.
//!
//! `ci` changes nothing and is everything that continuous integration checks; `fix` changes what can be changed without a
//! decision. `bench` and `compare` measure; `mutants` shows that the tests can fail.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod asan;
mod bench;
mod ci;
mod command;
mod compare;
mod crash;
mod edges;
mod fuzz;
mod histories;
mod instrumented;
mod licence;
mod loom;
mod metadata;
mod mutants;
mod packages;
mod real;

use std::{env, path::Path, process::ExitCode};

const HELP: &str = "\
The chores of the kv workspace.

Usage: cargo xtask COMMAND

  ci [STEP]... [--skip STEP]...  check everything that continuous integration checks, or only the named steps; changes no file
  fix                            format, and apply what clippy can mend by itself
  loom                           try the orders in which threads may run, in the tests that loom drives
  bench [FILTER] [--quick]       measure; FILTER is a part of the benchmarks' names, --quick a small run that only shows
                                 that they work
  compare [--quick] [--only WORKLOAD,…] [--engines A,B] [--json FILE]
                                 measure kv and its peers on the same work, in turns, and write a report; a run that was stopped
                                 goes on. --quick takes less than three minutes. RocksDB needs libclang, and 20 minutes to build:
                                 --engines leaves it out. `compare --help` says more
  histories [--seeds N] [--seed S]
                                 threads, crashes and faults: check histories of N runs (1000), from seed S (0) on
  fuzz [TARGET]... [--seconds N] give decoders hostile bytes with libFuzzer: all targets or the named ones, each for N seconds
                                 (20 if not said otherwise)
  asan                           run the tests of maps and of what reads through them under AddressSanitizer
  crash [--states N [--part I/M] [--coverage] | --replay STATE] [--seed S]
                                 crash, fail, fill up and damage the engine on a simulated disk, in about N states; or in one, as
                                 a failure printed it. --part looks at one of M equal parts of them, --coverage prints which
                                 verbs, states and faults were reached together
  crash --real [--every N] [--seed S]
                                 crash it on the real system: kill it and fail it at each system call, or at one in N; cut the
                                 power of ext4, XFS and btrfs, fill them up, and have their flushes fail (as root)
  mutants [NAME]... [--quick] [--list]
                                 put known bugs into a copy of the code, one at a time, and see that the tests catch each; NAMEs pick
                                 some, --quick a few fast ones, --list says what there is

Steps of ci:
";

/// The result of a chore; the error says what to do.
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
        ["crash", rest @ ..] if rest.contains(&"--real") => real::run(rest),
        ["crash", rest @ ..] => crash::run(rest),
        ["mutants", rest @ ..] => mutants::run(rest),
        _ => Err(format!("cannot understand {:?}; see cargo xtask --help", arguments.join(" "))),
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
