//! backup and restore: copies of a whole store.

use std::path::{Path, PathBuf};

use kv_store::Copied;
use serde_json::json;

use crate::{
    env::Env,
    failure::{Context, Failure},
    opening,
    output::{grouped, size},
};

pub const HELP: &str = "\
A backup is a store of its own, named backup- and a number, in DIRECTORY. It
shares files that did not change with the newest backup there or, on the same
file system, with the store, through hard links. What is shared is on the disk
once: to be safe from the failure of a disk, choose a directory on another one.
Each backup can be removed (rm -r) without harm to the others.

A backup that was interrupted is never taken for one. `kv --dir BACKUP verify`
checks a backup, and `kv restore` makes a store from it.

The command needs the store for itself. A program that has it open makes
backups while it writes (kv_store::backup_to).";

pub const RESTORE_HELP: &str = "\
Everything is copied and verified. The new store shares nothing with the backup,
and has an identity of its own: a consumer of the change feed has to start
again. The directory of the new store, which --dir or KV_DIR names, must not
exist.";

#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The directory of backups; it is created if it is absent
    directory: PathBuf,
    /// Only list the backups in it, the newest first
    #[arg(long)]
    list: bool,
    /// With --list, print JSON
    #[arg(long, requires = "list")]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The directory of the backup
    backup: PathBuf,
}

pub fn run(env: &mut Env<'_>, args: &Backup) -> Result<(), Failure> {
    if args.list {
        return list(env, args);
    }
    let store = opening::existing(env)?;
    let copied = kv_store::backup_to(&store, &args.directory)
        .doing(|| format!("cannot back up to {}", args.directory.display()))?;
    opening::close(env, &store);
    report(env, "backed up to", &copied.path, &copied);
    Ok(())
}

fn list(env: &mut Env<'_>, args: &Backup) -> Result<(), Failure> {
    let cannot = || format!("cannot list the backups in {}", args.directory.display());
    for backup in kv_store::backups(&args.directory).doing(cannot)? {
        let path = backup.path.display().to_string();
        let line = match (&backup.origin, args.json) {
            (origin, true) => {
                let position = origin.as_ref().map(|origin| origin.position.0);
                json!({"path": path, "number": backup.number, "position": position}).to_string()
            }
            (Some(origin), false) => format!("{path}\tposition {}", grouped(origin.position.0)),
            (None, false) => format!("{path}\tits ORIGIN is damaged; `kv --dir {path} verify` says more"),
        };
        env.print(line)?;
    }
    Ok(())
}

pub fn restore(env: &mut Env<'_>, args: &Restore) -> Result<(), Failure> {
    let cannot = || format!("cannot restore {} to {}", args.backup.display(), env.dir().display());
    let copied = match kv_store::restore(&args.backup, env.dir()) {
        Err(error) if opening::is_absence(&error) => {
            return Err(Failure::Absent(format!("there is no backup in {}", args.backup.display())));
        }
        restored => restored.doing(cannot)?,
    };
    report(env, "restored to", env.dir(), &copied);
    Ok(())
}

fn report(env: &Env<'_>, what: &str, path: &Path, copied: &Copied) {
    let Copied { origin, linked_bytes, copied_bytes, .. } = copied;
    let (position, linked, copied) = (grouped(origin.position.0), size(*linked_bytes), size(*copied_bytes));
    env.teller.report(format_args!(
        "{what} {}: the state at position {position}, {copied} copied, {linked} shared",
        path.display()
    ));
}
