//! shell: commands one after the other, over a store that stays open.

mod completion;
mod lines;
mod transaction;

use std::io::{self, IsTerminal};

use clap::{Parser, Subcommand};
use kv_store::Store;

use crate::{
    cli::Command,
    commands,
    env::Env,
    failure::{Context, Failure},
    opening,
};
use lines::Lines;

pub const HELP: &str = "\
Type the commands of `kv`, without `kv`; words are quoted as in sh. Tab
completes commands, options, collections and keys. Ctrl-D or `exit` ends it.

  begin   begin a transaction: what follows is seen only by this shell
  commit  make everything since `begin` permanent, in one step
  abort   forget everything since `begin`
A transaction knows put, get, delete, pop, list, scan, count, drop, clear and
rename.

Lines come from stdin if that is no terminal. Then the first one that fails ends
the shell, with its exit code.

The lines that were typed are kept in $XDG_STATE_HOME/kv/history, or in
~/.local/state/kv/history; a line that begins with a space is not.";

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(multicall = true, max_term_width = 80)]
struct Typed {
    #[command(subcommand)]
    command: ShellCommand,
}

#[derive(Debug, Subcommand)]
enum ShellCommand {
    #[command(flatten)]
    Kv(Command),
    /// Begin a transaction
    Begin,
    /// Make everything since `begin` permanent, in one step
    Commit,
    /// Forget everything since `begin`
    Abort,
    /// End the shell
    #[command(alias = "quit")]
    Exit,
}

/// What comes after a line.
enum Next {
    Go,
    End,
}

pub fn run(env: &mut Env<'_>) -> Result<(), Failure> {
    let store = opening::existing(env)?;
    let mut lines = Lines::new(&store)?;
    if lines.is_interactive() {
        env.teller.report(format_args!("{}\n`help` lists the commands, Ctrl-D ends the shell", greeting(&store)?));
    }
    env.held = Some(store.clone());
    env.stdin_is_script = !lines.is_interactive();
    let ended = each_line(env, &store, &mut lines).map_err(|failure| lines.placed(failure));
    env.held = None;
    lines.save();
    drop(lines);
    opening::close(env, &store);
    ended
}

fn greeting(store: &Store) -> Result<String, Failure> {
    let all = store.collections().doing(|| "cannot list the collections".into())?;
    let entries = crate::output::counted_entries(all.iter().map(|info| info.entries).sum());
    let collections = crate::output::counted(all.len() as u64, "collection");
    Ok(format!("kv {}: {entries} in {collections}", env!("CARGO_PKG_VERSION")))
}

fn each_line(env: &mut Env<'_>, store: &Store, lines: &mut Lines) -> Result<(), Failure> {
    while let Some(line) = lines.next("kv> ")? {
        match one_line(env, store, lines, &line) {
            Ok(Next::Go) => {}
            Ok(Next::End) => break,
            Err(failure) => lines.failed(env, failure)?,
        }
        env.out.flush().map_err(Failure::Output)?;
    }
    Ok(())
}

fn one_line(env: &mut Env<'_>, store: &Store, lines: &mut Lines, line: &str) -> Result<Next, Failure> {
    match parsed(env, line)? {
        None => {}
        Some(ShellCommand::Exit) => return Ok(Next::End),
        Some(ShellCommand::Begin) => transaction::run(env, store, lines)?,
        Some(ShellCommand::Commit | ShellCommand::Abort) => {
            return Err(Failure::Usage("there is no transaction: `begin` begins one".into()));
        }
        Some(ShellCommand::Kv(command)) => within_shell(env, command)?,
    }
    Ok(Next::Go)
}

/// The command of a line. `None` if there is nothing to do: the line is empty, or was answered with
/// a help text.
fn parsed(env: &mut Env<'_>, line: &str) -> Result<Option<ShellCommand>, Failure> {
    let Some(words) = shlex::split(line) else {
        return Err(Failure::Usage("a quote is not closed".into()));
    };
    if words.is_empty() {
        return Ok(None);
    }
    match Typed::try_parse_from(words) {
        Ok(typed) => Ok(Some(typed.command)),
        Err(error) if error.use_stderr() => Err(Failure::Usage(one_error(&error))),
        Err(help) => env.print(help.render().to_string().trim_end()).map(|()| None),
    }
}

/// The reason in clap's error, without the usage and the hints below it.
fn one_error(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    format!("{}; `help` lists the commands", lines.join(" "))
}

fn within_shell(env: &mut Env<'_>, command: Command) -> Result<(), Failure> {
    let needs_its_own_process = matches!(
        command,
        Command::Verify(_) | Command::Shell | Command::Demo | Command::DemoWriter(_) | Command::Bench(_)
    );
    if needs_its_own_process {
        return Err(Failure::Usage("this cannot be done in the shell: leave it first, with Ctrl-D".into()));
    }
    commands::run(env, command)
}

/// Whether a person types the lines.
fn is_typed() -> bool {
    io::stdin().is_terminal()
}
