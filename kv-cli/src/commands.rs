//! Each module has one command or a few, with their arguments and help.

pub mod about;
pub mod backup;
pub mod bench;
pub mod changes;
pub mod collections;
pub mod delete;
pub mod dump;
pub mod export;
pub mod get;
pub mod import;
pub mod inspect;
pub mod list;
pub mod load;
pub mod log;
pub mod maintenance;
pub mod pop;
pub mod put;
pub mod stats;

use crate::{cli::Command, demo, env::Env, failure::Failure, shell};

/// Runs a command. Does not flush its output.
pub fn run(env: &mut Env<'_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Put(args) => put::run(env, &args),
        Command::Get(args) => get::run(env, &args),
        Command::Delete(args) => delete::run(env, &args),
        Command::Pop(args) => pop::run(env, &args),
        Command::List(args) => list::list(env, &args),
        Command::Scan(args) => list::scan(env, &args),
        Command::Count(args) => list::count(env, &args),
        Command::Drop(args) => collections::drop(env, &args),
        Command::Clear(args) => collections::clear(env, &args),
        Command::Rename(args) => collections::rename(env, &args),
        Command::Import(args) => import::run(env, &args),
        Command::Export(args) => export::run(env, &args),
        Command::Dump(args) => dump::run(env, &args),
        Command::Load(args) => load::run(env, &args),
        Command::Backup(args) => backup::run(env, &args),
        Command::Restore(args) => backup::restore(env, &args),
        Command::Changes(args) => changes::run(env, &args),
        Command::Checkpoint => maintenance::checkpoint(env),
        Command::Verify(args) => maintenance::verify(env, &args),
        Command::Stats(args) => stats::run(env, &args),
        Command::Inspect(args) => inspect::run(env, &args),
        Command::Log(args) => log::run(env, &args),
        Command::Completions(args) => about::completions(env, &args),
        Command::Man(args) => about::man(env, &args),
        Command::Shell => shell::run(env),
        Command::Bench(args) => bench::run(env, &args),
        Command::Demo => demo::run(env),
        Command::DemoWriter(args) => demo::writer::run(env, &args),
    }
}
