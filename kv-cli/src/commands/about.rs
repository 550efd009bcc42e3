//! completions and man: what a shell and a manual say about the command.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::{cli::Cli, env::Env, failure::Failure};

pub const COMPLETIONS_HELP: &str = "\
Put the output where the shell looks for it, for example:
  bash  kv completions bash > ~/.local/share/bash-completion/completions/kv
  zsh   kv completions zsh > a file _kv in a directory of $fpath
  fish  kv completions fish > ~/.config/fish/completions/kv.fish";

pub const MAN_HELP: &str = "\
Read it at once with `kv man | man -l -`, or put it where `man` looks for it:
  kv man > ~/.local/share/man/man1/kv.1
  kv man import > ~/.local/share/man/man1/kv-import.1";

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub struct Man {
    /// The command that the page is about [default: kv itself]
    command: Option<String>,
}

pub fn completions(env: &mut Env<'_>, args: &Completions) -> Result<(), Failure> {
    // clap_complete panics if it cannot write, and memory can be written.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(&Cli::command()), "kv", &mut script);
    env.out.write_all(&script).map_err(Failure::Output)
}

pub fn man(env: &mut Env<'_>, args: &Man) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let page = match &args.command {
        None => command,
        Some(name) => {
            let absent = || Failure::Absent(format!("there is no command {name:?}; `kv help` lists the commands"));
            command.find_subcommand(name).ok_or_else(absent)?.clone()
        }
    };
    clap_mangen::Man::new(page).render(&mut *env.out).map_err(Failure::Output)
}

/// The command without what is hidden, which clap_complete would complete.
fn shown(command: &Command) -> Command {
    let subcommands = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    Command::new("kv").args(command.get_arguments()).subcommands(subcommands)
}
