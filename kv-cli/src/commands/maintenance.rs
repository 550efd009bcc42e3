//! checkpoint and verify.

use std::{io::Write, path::Path};

use kv_store::DeepVerification;

use crate::{
    cli::Verify,
    failure::{Context, Failure},
    opening,
    output::{counted, size, tell},
};

pub fn checkpoint(dir: &Path) -> Result<(), Failure> {
    let store = opening::existing(dir)?;
    match store.checkpoint().doing(|| "cannot write a checkpoint".into())? {
        Some(id) => tell(format_args!("checkpoint written at position {}", id.lsn)),
        None => tell(format_args!("nothing has changed since the last checkpoint")),
    }
    opening::close(&store);
    Ok(())
}

/// Prints what was checked, and each damage.
pub fn verify(dir: &Path, args: &Verify, out: &mut dyn Write) -> Result<(), Failure> {
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
        writeln!(out, "damaged: {}", damage.chain()).map_err(Failure::Output)?;
    }
    if let Some(deep) = &result.deep {
        tell_compared(deep, out)?;
    }
    let checked = format!("checked {}, {}", counted(result.files, "file"), size(result.bytes));
    if result.damage.is_empty() {
        if result.damage_noted {
            tell(format_args!(
                "kv: note: damage was found before, so no old checkpoint is removed; `kv verify --clear` allows that again"
            ));
        }
        return writeln!(out, "{checked}: no damage").map_err(Failure::Output);
    }
    let found = format!("{checked}: {} found", counted(result.damage.len() as u64, "damaged place"));
    out.flush().map_err(Failure::Output)?;
    Err(Failure::Damaged(format!("{found}; nothing was changed: restore {} from a backup", dir.display())))
}

/// Prints what was compared, and tells what could not be.
fn tell_compared(deep: &DeepVerification, out: &mut dyn Write) -> Result<(), Failure> {
    for unchecked in &deep.unchecked {
        tell(format_args!("kv: note: {unchecked}"));
    }
    let (parts, merges) = (counted(deep.parts, "part"), counted(deep.merges, "merge"));
    let replays = counted(deep.replays, "checkpoint");
    writeln!(out, "compared {parts} with what was to be written, {merges}, and {replays} with the log")
        .map_err(Failure::Output)
}
