//! What a command works with: the store, where its data goes, and who is told about it.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use kv_store::Store;

use crate::{failure::Failure, teller::Teller};

pub struct Env<'a> {
    /// The directory of the store.
    pub dir: PathBuf,
    /// Where data goes.
    pub out: &'a mut dyn Write,
    /// Whether a person reads the data.
    pub is_terminal: bool,
    pub teller: Teller,
    /// How long to wait for a process that has the store open.
    pub wait: Duration,
    /// The store that a shell has open. Otherwise each command opens and closes it.
    pub held: Option<Store>,
    /// Whether a shell reads its commands from stdin, which is no terminal.
    pub stdin_is_script: bool,
}

impl<'a> Env<'a> {
    pub fn new(dir: PathBuf, out: &'a mut dyn Write, teller: Teller) -> Self {
        Self {
            dir,
            out,
            is_terminal: io::stdout().is_terminal(),
            teller,
            wait: Duration::ZERO,
            held: None,
            stdin_is_script: false,
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Prints a line of data.
    pub fn print(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(Failure::Output)
    }

    /// Fails if stdin cannot be read as data, because it holds the commands.
    pub fn must_have_stdin(&self) -> Result<(), Failure> {
        match self.stdin_is_script {
            true => Err(Failure::Usage(
                "`-` reads stdin, which holds the commands of this shell: give a file or a value".into(),
            )),
            false => Ok(()),
        }
    }

    /// Asks before something is destroyed. `what` is a question, such as `drop "c"?`.
    ///
    /// # Errors
    /// If the answer is not yes; without a terminal, if `yes` was not given.
    pub fn confirm(&mut self, yes: bool, what: impl FnOnce() -> Result<String, Failure>) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::Usage("this needs --yes, because there is no terminal to ask on".into()));
        }
        self.out.flush().map_err(Failure::Output)?;
        let _ = io::stderr().write_all(format!("{} [y/N] ", what()?).as_bytes());
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .map_err(|source| Failure::Io { what: "cannot read the answer".into(), source })?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Usage("nothing was changed".into())),
        }
    }
}
