//! The `kv` command: a key-value store in a directory, from the shell.
//!
//! Data goes to stdout, everything else to stderr, and the exit code says what happened (see
//! [`exit`]). A broken pipe on stdout ends the command quietly.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod demo;
mod encoded_rows;
mod encoding;
mod env;
mod exit;
mod failure;
mod files;
mod format;
mod interrupt;
mod keys;
mod listing;
mod loader;
mod near;
mod opening;
mod output;
mod shell;
mod source;
mod teller;
mod zstd;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;

use crate::{
    cli::Cli,
    env::Env,
    exit::Exit,
    failure::Failure,
    teller::{Color, Teller},
};

fn main() -> ExitCode {
    let teller = Teller::new(false, Color::in_arguments(std::env::args_os()));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // For clap, help and version are errors, too.
            teller.clap(&error);
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let teller = teller.or_quiet(cli.quiet);
    if let Err(error) = outlive_file_size_limit() {
        teller.warn(format_args!("a limit on the size of files will end this process: {error}"));
    }
    match run(cli, teller) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            if let Some(line) = failure.line() {
                teller.error(format_args!("{line}"));
            }
            if let Failure::Interrupted { signal, .. } = failure {
                interrupt::die_of(signal);
            }
            failure.exit().into()
        }
    }
}

/// Makes a write beyond the limit on the size of files (`ulimit -f`) fail, as on a full disk, so
/// that it is reported. By default, the signal SIGXFSZ kills the process.
fn outlive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map(|_| ())
}

/// Runs a command. What it has printed before it failed goes out before the error does.
fn run(cli: Cli, teller: Teller) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout());
    let mut env = Env::new(cli.directory(), &mut out, teller);
    env.wait = Duration::from_secs(cli.wait.into());
    let result = commands::run(&mut env, cli.command);
    match (out.flush().map_err(Failure::Output), result) {
        (Err(output), Ok(())) => Err(output),
        (_, result) => result,
    }
}
