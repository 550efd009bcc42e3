//! How much is written when every entry changes, and what a request to merge leaves of it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{Bench, ENTRY_BYTES, Scenario, USUAL, VALUE_BYTES, loaded::disk};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Engine, Level, Result, Role},
    measure::{bytes_written, settle},
    workloads::Metric,
};

/// How often the files are looked at. A file that lives for a shorter time may be missed.
const INTERVAL: Duration = Duration::from_millis(10);

pub const WRITTEN: Scenario = Scenario {
    name: "written",
    workloads: &["written", "disk-compacted"],
    steps: &[written],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Peer),
    once: true,
    ..USUAL
};

/// The workloads that [`overwrite_all`] measures.
#[derive(Clone, Copy)]
pub struct Names {
    pub written: &'static str,
    pub compacted: &'static str,
}

fn written(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let opened = bench.open(Level::Process)?;
    let values = Values::new(VALUE_BYTES);
    bench.load_and_settle(&*opened, &values)?;
    overwrite_all(bench, &*opened, &values, Names { written: "written", compacted: "disk-compacted" });
    opened.close()?;
    Ok(None)
}

/// Overwrites every entry once, and counts what is written until the engine is idle. Then merges
/// everything, and weighs the files.
pub fn overwrite_all(bench: &mut Bench<'_>, database: &dyn Database, values: &Values, names: Names) {
    if !bench.wants_any(&[names.written, names.compacted]) {
        return;
    }
    let counted = count(bench, database, values);
    let done = counted.map(|(written, rewritten)| {
        let changed = (ENTRY_BYTES * bench.entries) as f64;
        bench.sample(names.written, Metric::Written, written as f64 / changed);
        if rewritten > 0 {
            bench.sample(names.written, Metric::Rewritten, rewritten as f64 / changed);
        }
    });
    bench.note(names.written, done);
    bench.measure(names.compacted, |bench| {
        database.compact()?;
        settle(database);
        disk(bench, names.compacted);
        Ok(())
    });
}

/// How many bytes are written in total, and how many of them by checkpoints and merges.
fn count(bench: &Bench<'_>, database: &dyn Database, values: &Values) -> Result<(u64, u64)> {
    let before = bytes_written(database)?;
    let rewritten = watched(bench.engine, &bench.directory, || {
        let mut session = database.session()?;
        for index in 0..bench.entries {
            session.put(&key(index), values.of(!index))?;
        }
        database.sync()?;
        settle(database);
        Ok(())
    })?;
    Ok((bytes_written(database)? - before, rewritten))
}

/// The bytes of the checkpoint files that appear while `work` runs.
fn watched(engine: &dyn Engine, directory: &Path, work: impl FnOnce() -> Result) -> Result<u64> {
    let (mut old, mut new) = (HashMap::new(), HashMap::new());
    lengths(engine, directory, &mut old);
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                lengths(engine, directory, &mut new);
                thread::sleep(INTERVAL);
            }
            lengths(engine, directory, &mut new);
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        watcher.join().map_err(|_| "the thread that watches the files panicked")?;
        worked
    })?;
    Ok(new.iter().filter(|(file, _)| !old.contains_key(*file)).map(|(_, length)| length).sum())
}

/// Notes the greatest length of each checkpoint file below a directory. What is removed meanwhile
/// is passed over.
fn lengths(engine: &dyn Engine, directory: &Path, seen: &mut HashMap<PathBuf, u64>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        if metadata.is_dir() {
            lengths(engine, &path, seen);
        } else if engine.is_checkpoint_file(&path) {
            let length = seen.entry(path).or_default();
            *length = metadata.len().max(*length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::engines::Kv;

    #[test]
    fn only_new_checkpoint_files_count_also_those_that_were_removed() {
        let directory = tempfile::tempdir().unwrap();
        let checkpoints = directory.path().join("checkpoints");
        fs::create_dir(&checkpoints).unwrap();
        let write = |name: &str, bytes: usize| fs::write(checkpoints.join(name), vec![0; bytes]).unwrap();
        write("old.part", 1000);
        let counted = watched(&Kv, directory.path(), || {
            write("kept.part", 100);
            write("removed.part", 10);
            fs::write(directory.path().join("log"), [0; 5]).unwrap();
            thread::sleep(10 * INTERVAL);
            fs::remove_file(checkpoints.join("removed.part")).unwrap();
            Ok(())
        });
        assert_eq!(counted.unwrap(), 110);
        assert!(watched(&Kv, directory.path(), || Err("failed".into())).is_err());
    }
}
