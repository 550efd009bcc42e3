//! Each module has one command or a few. A command gets its arguments, and where to write its data.

mod export;
pub mod import;
mod keys;
mod list;
mod maintenance;
mod stats;

use std::{ffi::OsStr, io::Write, os::unix::ffi::OsStrExt as _};

use crate::{
    cli::{Cli, Command},
    demo,
    failure::Failure,
};

/// Runs a command. Does not flush `out`.
pub fn run(cli: Cli, out: &mut dyn Write) -> Result<(), Failure> {
    let dir = &cli.directory();
    match cli.command {
        Command::Put(args) => keys::put(dir, &args)?,
        Command::Get(args) => keys::get(dir, &args, out)?,
        Command::Delete(args) => keys::delete(dir, &args)?,
        Command::List(args) => list::run(dir, &args, out)?,
        Command::Import(args) => import::run(dir, args)?,
        Command::Export(args) => export::run(dir, &args, out)?,
        Command::Checkpoint => maintenance::checkpoint(dir)?,
        Command::Verify(args) => maintenance::verify(dir, &args, out)?,
        Command::Stats(args) => stats::run(dir, &args, out)?,
        Command::Demo => demo::run(dir, out)?,
        Command::DemoWriter(args) => demo::writer::run(dir, &args)?,
    }
    Ok(())
}

/// An argument's bytes: keys and values need not be text.
fn bytes(argument: &OsStr) -> &[u8] {
    argument.as_bytes()
}
