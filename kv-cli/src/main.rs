//! The `kv` command: a key-value store in a directory, from the shell.
//!
//! Data goes to stdout, everything else to stderr, and the exit code says what happened (see
//! [`exit`]). A broken pipe on stdout ends the command quietly.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod demo;
mod exit;
mod failure;
mod format;
mod opening;
mod output;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;

use crate::{cli::Cli, exit::Exit, failure::Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // For clap, help and version are errors, too. Printing fails only if the pipe is
            // broken.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    if let Err(error) = outlive_file_size_limit() {
        output::tell(format_args!("kv: warning: a limit on the size of files will end this process: {error}"));
    }
    match run(cli) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            if let Some(line) = failure.line() {
                output::tell(format_args!("kv: {line}"));
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

fn run(cli: Cli) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout());
    commands::run(cli, &mut out)?;
    out.flush().map_err(Failure::Output)
}
