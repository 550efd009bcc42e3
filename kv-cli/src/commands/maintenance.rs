//! checkpoint and verify.

use kv_store::DeepVerification;

use crate::{
    env::Env,
    failure::{Context, Failure},
    opening,
    output::{counted, size},
};

pub const VERIFY_HELP: &str = "\
Nothing is changed, unless --clear is given. Damage that looks like the remains
of a crash is not reported: damage to log/MARK, to a tail of the log that was
never flushed, to the end of a closed log, and to the record in LOCK.

--deep also finds wrong data whose checksums are right. It compares, entry by
entry, what checkpoints hold with the log and with the parts that they were
merged from, as far as these are still there. It tells what it could not
compare. This reads everything several times.";

#[derive(Debug, clap::Args)]
pub struct Verify {
    /// If nothing is damaged any more, forget that a read met damage. Until then no old checkpoint
    /// is removed, and the log is not trimmed
    #[arg(long)]
    clear: bool,
    /// Also compare what checkpoints hold with the log, and with what they were merged from
    #[arg(long, conflicts_with = "clear")]
    deep: bool,
}

pub fn checkpoint(env: &mut Env<'_>) -> Result<(), Failure> {
    let store = opening::existing(env)?;
    match store.checkpoint().doing(|| "cannot write a checkpoint".into())? {
        Some(id) => env.teller.report(format_args!("checkpoint written at position {}", id.lsn)),
        None => env.teller.report(format_args!("nothing has changed since the last checkpoint")),
    }
    opening::close(env, &store);
    Ok(())
}

/// Prints what was checked, and each damage.
pub fn verify(env: &mut Env<'_>, args: &Verify) -> Result<(), Failure> {
    let dir = &*env.dir.clone();
    let verified = match args {
        Verify { clear: true, .. } => kv_store::clear_damage(dir),
        Verify { deep: true, .. } => kv_store::verify_deep(dir),
        _ => kv_store::verify(dir),
    };
    let result = match verified {
        Err(error) if opening::is_absence(&error) => return Err(opening::absent(dir)),
        result => result.doing(|| format!("cannot verify {}", dir.display()))?,
    };
    for damage in &result.damage {
        env.print(format_args!("damaged: {}", damage.chain()))?;
    }
    if let Some(deep) = &result.deep {
        tell_compared(deep, env)?;
    }
    let checked = format!("checked {}, {}", counted(result.files, "file"), size(result.bytes));
    if result.damage.is_empty() {
        if result.damage_noted {
            env.teller.note(format_args!(
                "damage was found before, so no old checkpoint is removed; `kv verify --clear` allows that again"
            ));
        }
        return env.print(format_args!("{checked}: no damage"));
    }
    let found = format!("{checked}: {} found", counted(result.damage.len() as u64, "damaged place"));
    env.out.flush().map_err(Failure::Output)?;
    Err(Failure::Damaged(format!("{found}; nothing was changed: restore {} from a backup", dir.display())))
}

/// Prints what was compared, and tells what could not be.
fn tell_compared(deep: &DeepVerification, env: &mut Env<'_>) -> Result<(), Failure> {
    for unchecked in &deep.unchecked {
        env.teller.note(format_args!("{unchecked}"));
    }
    let (parts, merges) = (counted(deep.parts, "part"), counted(deep.merges, "merge"));
    let replays = counted(deep.replays, "checkpoint");
    env.print(format_args!("compared {parts} with what was to be written, {merges}, and {replays} with the log"))
}
