//! The chores of the workspace: `cargo xtask --help`.
//!
//! `ci` changes nothing and is everything that continuous integration checks; `fix` changes what can be changed without a
//! decision. `bench` measures; `mutants` shows that the tests can fail.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod bench;
mod ci;
mod command;
mod edges;
mod licence;
mod metadata;
mod mutants;
mod packages;

use std::{env, path::Path, process::ExitCode};

const HELP: &str = "\
The chores of the kv workspace.

Usage: cargo xtask COMMAND

  ci [STEP]... [--skip STEP]...  check everything that continuous integration checks, or only the named steps; changes no file
  fix                            format, and apply what clippy can mend by itself
  bench [FILTER] [--quick]       measure; FILTER is a part of the benchmarks' names, --quick a small run that only shows
                                 that they work
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
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h", ..] => {
            print!("{HELP}{}", ci::steps_help());
            Ok(())
        }
        ["ci", rest @ ..] => ci::run(rest),
        ["fix"] => fix(),
        ["bench", rest @ ..] => bench::run(rest),
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
    command::cargo(["fmt", "--all"])
}
