//! checkpoint and verify.

use std::{io::Write, path::Path};

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
    let verified = if args.clear { kv_store::clear_damage(dir) } else { kv_store::verify(dir) };
    let result = match verified {
        Err(error) if opening::is_absence(&error) => return Err(opening::absent(dir)),
        result => result.doing(|| format!("cannot verify {}", dir.display()))?,
    };
    for damage in &result.damage {
        writeln!(out, "damaged: {}", damage.chain()).map_err(Failure::Output)?;
    }
    let checked = format!("checked {}, {}", counted(result.files, "file"), size(result.bytes));
    if result.damage.is_empty() {
        if result.damage_noted {
            tell(format_args!(
                "kv: note: damage was found before, so no checkpoints are written; `kv verify --clear` allows them again"
            ));
        }
        return writeln!(out, "{checked}: no damage").map_err(Failure::Output);
    }
    let found = format!("{checked}: {} found", counted(result.damage.len() as u64, "damaged place"));
    out.flush().map_err(Failure::Output)?;
    Err(Failure::Damaged(format!("{found}; nothing was changed: restore {} from a backup", dir.display())))
}
