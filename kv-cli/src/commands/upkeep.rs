//! checkpoint, verify and stats.

use std::{io::Write, path::Path};

use crate::{
    cli::Stats,
    exit::Exit,
    failure::{Context, Failure, explain},
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

/// Prints what was checked and every damage that was found.
pub fn verify(dir: &Path, out: &mut dyn Write) -> Result<Exit, Failure> {
    opening::must_exist(dir)?;
    let result = kv_store::verify(dir).doing(|| format!("cannot verify {}", dir.display()))?;
    for damage in &result.damage {
        writeln!(out, "{}", explain("damaged", damage)).map_err(Failure::Output)?;
    }
    let checked = format!("checked {}, {}", counted(result.files, "file"), size(result.bytes));
    if result.damage.is_empty() {
        writeln!(out, "{checked}: no damage").map_err(Failure::Output)?;
        return Ok(Exit::Done);
    }
    let found = format!("{checked}: damage in {}", counted(result.damage.len() as u64, "place"));
    out.flush().map_err(Failure::Output)?;
    Err(Failure::Damaged(format!("{found}; restore {} from a backup", dir.display())))
}

pub fn stats(dir: &Path, _args: &Stats, _out: &mut dyn Write) -> Result<(), Failure> {
    let store = opening::existing(dir)?;
    let _stats = store.stats().doing(|| "cannot read the statistics".into())?;
    Ok(())
}
