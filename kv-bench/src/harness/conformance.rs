//! A check that an engine really does the work that it is asked for. Without this check, its
//! figures would mean nothing.

use std::{collections::BTreeMap, path::Path};

use super::engine::{Database, Engine, Error, Level, Promise, Result, Role, Unsupported};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Checks an engine, at each level that it has, against a model: writes, reads, scans, updates, a
/// checkpoint, a snapshot, a queue, a close and a second opening. Calls that the engine does not
/// have are left out.
///
/// # Errors
/// The first error of the engine.
///
/// # Panics
/// If the engine returns anything that differs from the model.
pub fn check(engine: &dyn Engine) -> Result {
    for level in [Level::Disk, Level::Process] {
        if let Some(promise) = engine.promise(level) {
            check_at(engine, level, promise).map_err(|error| format!("{} at {level:?}: {error}", engine.name()))?;
        }
    }
    Ok(())
}

fn check_at(engine: &dyn Engine, level: Level, promise: Promise) -> Result {
    let directory = tempfile::tempdir()?;
    let Some(database) = supported(engine.open(directory.path(), level))? else { return Ok(()) };
    let nothing = database.session()?.pop_first(&mut |key, _| panic!("{key:?} was popped from nothing"));
    assert_ne!(supported(nothing)?, Some(true), "an entry was popped from nothing");
    let mut model = write(&*database)?;
    agree(&*database, &model)?;
    supported(database.checkpoint())?;
    agree(&*database, &model)?;
    update(&*database, &mut model)?;
    agree(&*database, &model)?;
    snapshot(&*database, &mut model)?;
    agree(&*database, &model)?;
    queue(&*database, &mut model)?;
    agree(&*database, &model)?;
    database.sync()?;
    database.close()?;
    // The machine stores nothing that could be opened again.
    if promise != Promise::Nothing && engine.role() != Role::Limit {
        reopen(engine, directory.path(), level, &model)?;
    }
    Ok(())
}

/// Checks that everything is there again after a clean close.
fn reopen(engine: &dyn Engine, directory: &Path, level: Level, model: &Entries) -> Result {
    let database = engine.open(directory, level)?;
    agree(&*database, model)?;
    database.close()
}

fn write(database: &dyn Database) -> Result<Entries> {
    let entries: Vec<_> =
        (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761).to_be_bytes(), [n as u8; 100])).collect();
    let mut session = database.session()?;
    let model = entries.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    let (batch, single) = entries.split_at(1900);
    let batch: Vec<_> = batch.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    for batch in batch.chunks(1000) {
        supported(session.put_batch(batch))?;
    }
    for (key, value) in single {
        if supported(session.put(key, &[]))?.is_some() {
            session.put(key, value)?; // replaces
        } else {
            session.put_batch(&[(key, value)])?;
        }
    }
    Ok(model)
}

fn update(database: &dyn Database, model: &mut Entries) -> Result {
    let mut session = database.session()?;
    let Some((key, value)) = model.iter_mut().nth(7) else { return Ok(()) };
    let updated = session.update(key, &mut |value| value[0] = value[0].wrapping_add(1));
    if supported(updated)?.is_some() {
        value[0] = value[0].wrapping_add(1);
        session.update(b"not there", &mut |value| value.extend_from_slice(b"now it is"))?;
        model.insert(b"not there".to_vec(), b"now it is".to_vec());
    }
    Ok(())
}

/// Takes a snapshot and changes entries, which must not show in it.
fn snapshot(database: &dyn Database, model: &mut Entries) -> Result {
    let Some(snapshot) = supported(database.snapshot())? else { return Ok(()) };
    let before = model.clone();
    let mut session = database.session()?;
    let replaced = before.keys().step_by(100).map(Vec::as_slice);
    for key in replaced.chain([&b"added"[..]]) {
        session.put(key, b"put later")?;
        model.insert(key.to_vec(), b"put later".to_vec());
    }
    for key in model.keys() {
        let mut found = None;
        snapshot.get(key, &mut |value| found = Some(value.to_vec()))?;
        assert_eq!(found.as_ref(), before.get(key), "{key:?} in a snapshot");
    }
    Ok(())
}

/// Pops entries from the front. Some of them are put again and are then the front once more.
fn queue(database: &dyn Database, model: &mut Entries) -> Result {
    let mut session = database.session()?;
    for round in 0..30 {
        let mut popped = None;
        let found = session.pop_first(&mut |key, value| popped = Some((key.to_vec(), value.to_vec())));
        let Some(found) = supported(found)? else { return Ok(()) };
        assert_eq!(popped, model.pop_first(), "the entry that was popped");
        assert_eq!(found, popped.is_some(), "whether an entry was popped");
        let Some((key, value)) = popped else { continue };
        session.get(&key, &mut |_| panic!("{key:?} was popped and is still there"))?;
        if round % 3 == 0 {
            session.put(&key, &value)?;
            model.insert(key, value);
        }
    }
    Ok(())
}

fn agree(database: &dyn Database, model: &Entries) -> Result {
    let mut session = database.session()?;
    // An engine that finds no keys is a log. Its scan also returns values that were replaced.
    let is_log = supported(session.get(b"absent", &mut |_| panic!("an absent key was found")))?.is_none();
    if !is_log {
        for (key, value) in model {
            let mut found = None;
            session.get(key, &mut |value| found = Some(value.to_vec()))?;
            assert_eq!(found.as_ref(), Some(value), "{key:?}");
        }
    }
    let from = model.keys().nth(500).ok_or("no entries")?;
    scanned(&mut |read| session.scan(&[], read), model, &[], usize::MAX, is_log)?;
    scanned(&mut |read| session.scan(from, read), model, from, 100, is_log)
}

type Read<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

fn scanned(
    scan: &mut dyn FnMut(Read<'_>) -> Result,
    model: &Entries,
    from: &[u8],
    most: usize,
    is_log: bool,
) -> Result {
    let mut found = Vec::new();
    let done = scan(&mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        found.len() < most
    });
    if supported(done)?.is_some() {
        if is_log {
            found = found.into_iter().collect::<Entries>().into_iter().collect();
        }
        if from.is_empty() {
            found.sort(); // an engine without an order returns entries in any order
        }
        let expected: Vec<_> =
            model.range(from.to_vec()..).take(most).map(|(key, value)| (key.clone(), value.clone())).collect();
        assert!(found == expected, "{} entries scanned from {from:?}, {} expected", found.len(), expected.len());
    }
    Ok(())
}

/// `None` if the engine has no such call.
fn supported<T>(result: Result<T>) -> Result<Option<T>> {
    result.map(Some).or_else(|error: Error| if error.is::<Unsupported>() { Ok(None) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::engines;

    #[test]
    fn our_engines_do_what_they_are_asked_for() {
        engines::all().into_iter().try_for_each(check).unwrap();
    }
}
