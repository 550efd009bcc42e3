//! Runs other programs.

use std::{
    env,
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
};

use crate::Result;

/// The cargo that runs this command.
pub fn cargo_command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // So paths in messages begin at the root, wherever this command was called.
    command.current_dir(crate::root()).stdin(Stdio::null());
    command
}

/// Runs cargo, and shows what it prints.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Result {
    run(cargo_command().args(arguments))
}

/// Runs a command, and shows what it prints. Returns an error if the command fails.
pub fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{} ({status})", shown(command))) }
}

/// Runs a command, and returns what it printed on stdout.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{} ({})", shown(command), output.status)) }
}

fn shown(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    format!("`{} {}` failed", program.to_string_lossy(), arguments.join(" "))
}
