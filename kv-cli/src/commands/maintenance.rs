//! checkpoint and verify.

use kv_store::{DeepVerification, Verification};
use serde_json::{Value, json};

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
    /// Print a JSON object
    #[arg(long)]
    json: bool,
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
    let verified = opening::waiting(env, || match args {
        Verify { clear: true, .. } => kv_store::clear_damage(dir),
        Verify { deep: true, .. } => kv_store::verify_deep(dir),
        _ => kv_store::verify(dir),
    });
    let result = match verified {
        Err(error) if opening::is_absence(&error) => return Err(opening::absent(dir)),
        result => result.doing(|| format!("cannot verify {}", dir.display()))?,
    };
    match args.json {
        true => env.print(json(&result))?,
        false => print(env, &result)?,
    }
    if result.damage.is_empty() {
        if result.damage_noted {
            env.teller.note(format_args!(
                "damage was found before, so no old checkpoint is removed; `kv verify --clear` allows that again"
            ));
        }
        return Ok(());
    }
    env.out.flush().map_err(Failure::Output)?;
    let found = counted(result.damage.len() as u64, "damaged place");
    Err(Failure::Damaged(format!(
        "{}: {found} found; nothing was changed. Opening the store heals what another checkpoint and the log restore, and `kv inspect` shows the rest, which must come from a backup",
        checked(&result)
    )))
}

fn checked(result: &Verification) -> String {
    format!("checked {}, {}", counted(result.files, "file"), size(result.bytes))
}

fn print(env: &mut Env<'_>, result: &Verification) -> Result<(), Failure> {
    for damage in &result.damage {
        env.print(format_args!("damaged: {}", damage.chain()))?;
    }
    if let Some(deep) = &result.deep {
        tell_compared(deep, env)?;
    }
    if result.damage.is_empty() { env.print(format_args!("{}: no damage", checked(result))) } else { Ok(()) }
}

fn json(result: &Verification) -> Value {
    let damage: Vec<String> = result.damage.iter().map(kv_store::Error::chain).collect();
    let compared = result.deep.as_ref().map(|deep| {
        json!({
            "parts": deep.parts,
            "merges": deep.merges,
            "replays": deep.replays,
            "unchecked": deep.unchecked.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    json!({
        "checkpoints": result.checkpoints,
        "files": result.files,
        "bytes": result.bytes,
        "damage": damage,
        "damage_noted": result.damage_noted,
        "compared": compared,
    })
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
