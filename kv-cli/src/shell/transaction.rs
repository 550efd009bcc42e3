//! A transaction of the shell: the lines between begin and commit run inside one closure.

use kv_store::{Error, Store, Transaction};

use super::{Next, ShellCommand, lines::Lines, parsed};
use crate::{
    cli::Command,
    commands::{collections, delete, get, list, pop, put},
    env::Env,
    failure::Failure,
};

/// Why nothing was written.
enum Ended {
    /// The user has said so.
    Aborted,
    Failed(Failure),
    Store(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Runs lines up to commit or abort. While it runs, no other write of this process can.
pub fn run(env: &mut Env<'_>, store: &Store, lines: &mut Lines) -> Result<(), Failure> {
    let ended = store.try_transact(|tx| each_line(env, tx, lines));
    match ended {
        Ok(()) => env.teller.report(format_args!("committed")),
        Err(Ended::Aborted) => env.teller.report(format_args!("aborted: nothing was written")),
        Err(Ended::Failed(failure)) => return Err(failure),
        Err(Ended::Store(source)) => return Err(Failure::Store { what: "cannot commit".into(), source }),
    }
    Ok(())
}

fn each_line(env: &mut Env<'_>, tx: &mut Transaction<'_>, lines: &mut Lines) -> Result<(), Ended> {
    while let Some(line) = lines.next("kv*> ").map_err(Ended::Failed)? {
        match one_line(env, tx, &line) {
            Ok(Next::Go) => {}
            Ok(Next::End) => return Ok(()),
            Err(Ended::Failed(failure)) => lines.failed(env, failure).map_err(Ended::Failed)?,
            Err(ended) => return Err(ended),
        }
        env.out.flush().map_err(|error| Ended::Failed(Failure::Output(error)))?;
    }
    let text = "the input ended inside a transaction: nothing of it was written; `commit` commits it";
    Err(Ended::Failed(Failure::Usage(text.into())))
}

fn one_line(env: &mut Env<'_>, tx: &mut Transaction<'_>, line: &str) -> Result<Next, Ended> {
    match parsed(env, line).map_err(Ended::Failed)? {
        None => {}
        Some(ShellCommand::Commit) => return Ok(Next::End),
        Some(ShellCommand::Abort) => return Err(Ended::Aborted),
        Some(ShellCommand::Begin) => return Err(usage("a transaction has begun already: `commit` or `abort` ends it")),
        Some(ShellCommand::Exit) => return Err(usage("`commit` or `abort` the transaction first")),
        Some(ShellCommand::Kv(command)) => within(env, tx, &command).map_err(Ended::Failed)?,
    }
    Ok(Next::Go)
}

fn usage(text: &str) -> Ended {
    Ended::Failed(Failure::Usage(text.into()))
}

fn within(env: &mut Env<'_>, tx: &mut Transaction<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Put(args) => put::within(env, tx, args),
        Command::Get(args) => get::within(env, tx, args),
        Command::Delete(args) => delete::within(env, tx, args),
        Command::Pop(args) => pop::within(env, tx, args),
        Command::List(args) => list::list_within(env, tx, args),
        Command::Scan(args) => list::scan_within(env, tx, args),
        Command::Count(args) => list::count_within(env, tx, args),
        Command::Drop(args) => collections::drop_within(env, tx, args),
        Command::Clear(args) => collections::clear_within(env, tx, args),
        Command::Rename(args) => collections::rename_within(tx, args),
        _ => {
            let text = "a transaction knows put, get, delete, pop, list, scan, count, drop, clear and rename";
            Err(Failure::Usage(format!("{text}; `commit` or `abort` it first")))
        }
    }
}
