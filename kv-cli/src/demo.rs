//! The demo: what a store is for, on real data. Each step is checked before the next one.

mod child;
mod data;
mod steps;
pub mod writer;

use std::{io, path::Path};

use data::{Unicode, deletions, overwrites};
use kv_store::{Batch, Store};
use steps::Steps;

use crate::{
    env::Env,
    failure::{Context, Failure},
    loader::Loader,
    opening,
    output::{counted, grouped, rate, size},
};

const UNICODE: &str = "unicode";
/// The collection that the child writes to. If it exists, the demo has run in this store before.
const WRITES: &str = "demo";
/// The key in `WRITES` of the number of the last run.
const RUNS: &str = "runs";

/// Runs the demo in `dir`. It uses only its two collections, and fails if a check fails.
pub fn run(env: &mut Env<'_>) -> Result<(), Failure> {
    let dir = &*env.dir.clone();
    // The steps themselves say what they create.
    let mut none = io::sink();
    let quiet = &Env::new(env.dir.clone(), &mut none, env.teller.or_quiet(true));
    let mut steps = Steps::begin(env.out, dir)?;
    let mut unicode = Unicode::embedded()?;

    let store = steps.run("open", || {
        let store = opening::or_new(quiet)?;
        let text = greeting(&store)?;
        Ok((store, text))
    })?;
    let run = steps.run("import", || import(&store))?;
    steps.run("read back", || unicode.check(&store))?;
    steps.run("change", || change(&store, &mut unicode))?;
    steps.run("read back", || unicode.check(&store))?;
    close(store)?;

    let prefix = format!("run-{run}/");
    let acknowledged = steps.run("kill", || child::killed_in_mid_write(dir, WRITES, &prefix))?;
    let store = steps.run("reopen", || reopen(quiet))?;
    steps.run("check", || child::check(&store, WRITES, &prefix, &acknowledged))?;
    steps.run("check", || unicode.check(&store))?;
    steps.run("checkpoint", || checkpoint(&store))?;
    close(store)?;

    let store = steps.run("reopen", || reopen(quiet))?;
    if store.recovery().checkpoint.is_none() {
        return Err(Failure::Damaged("a check failed: the store was not opened from its checkpoint".into()));
    }
    steps.run("check", || child::check(&store, WRITES, &prefix, &acknowledged))?;
    steps.run("check", || unicode.check(&store))?;
    close(store)?;
    steps.run("verify", || verify(dir))?;
    steps.end()
}

fn greeting(store: &Store) -> Result<String, Failure> {
    let again = opening::exists(&store.snapshot(), WRITES)?;
    if !again && opening::exists(&store.snapshot(), UNICODE)? {
        return Err(Failure::Refused(format!(
            "the store has a collection {UNICODE:?} that is not the demo's; give the demo another directory with --dir"
        )));
    }
    Ok(if again { "the store of an earlier run is here".into() } else { "a new store".into() })
}

/// Imports the data set, and returns the number of this run.
fn import(store: &Store) -> Result<(u64, String), Failure> {
    let writes = store.collection(WRITES).doing(|| "cannot use the demo's collection".into())?;
    let runs = writes.get(RUNS.as_bytes()).doing(|| "cannot read the number of the last run".into())?;
    let last: u64 = runs.and_then(|text| str::from_utf8(&text).ok()?.parse().ok()).unwrap_or(0);
    let run = last.saturating_add(1);
    writes.put(RUNS.as_bytes(), run.to_string().as_bytes()).doing(|| "cannot write the number of this run".into())?;

    let started = std::time::Instant::now();
    let mut loader = Loader::new(store, None);
    let mut rows = data::rows().doing(|| "cannot read the data set".into())?;
    loader.load(UNICODE, &mut *rows).map_err(|stop| loader.failure(stop, "the data set"))?;
    let rows = loader.rows_committed;
    let rate = grouped(rate(rows, started.elapsed()));
    Ok((run, format!("{} Unicode code points ({rate} rows/s)", grouped(rows))))
}

fn change(store: &Store, unicode: &mut Unicode) -> Result<((), String), Failure> {
    let (changed, deleted) = (overwrites(&unicode.expected), deletions(&unicode.expected));
    let mut batch = Batch::new();
    for (key, value) in &changed {
        batch.put(UNICODE, key, value);
    }
    for key in &deleted {
        batch.delete(UNICODE, key);
    }
    store.write(&batch).doing(|| "cannot overwrite and delete".into())?;
    let text = format!(
        "one batch: {} values overwritten, {} keys deleted",
        grouped(changed.len() as u64),
        grouped(deleted.len() as u64)
    );
    unicode.expected.extend(changed);
    deleted.iter().for_each(|key| drop(unicode.expected.remove(key)));
    Ok(((), text))
}

fn reopen(env: &Env<'_>) -> Result<(Store, String), Failure> {
    let store = opening::existing(env)?;
    let text = store.recovery().to_string();
    Ok((store, text))
}

fn checkpoint(store: &Store) -> Result<((), String), Failure> {
    let id = store.checkpoint().doing(|| "cannot write a checkpoint".into())?;
    let text = match id {
        Some(id) => format!("up to position {}, in a file that is read in place", id.lsn),
        None => "nothing has changed since the last one".into(),
    };
    Ok(((), text))
}

/// Closes the store and releases its lock.
fn close(store: Store) -> Result<(), Failure> {
    let closed = store.close().doing(|| "cannot close the store".into());
    drop(store);
    closed
}

fn verify(dir: &Path) -> Result<((), String), Failure> {
    let mut result = kv_store::verify(dir).doing(|| "cannot verify the store".into())?;
    match result.damage.pop() {
        None => Ok(((), format!("{}, {}: no damage", counted(result.files, "file"), size(result.bytes)))),
        Some(source) => Err(Failure::Store { what: "verify found damage".into(), source }),
    }
}
