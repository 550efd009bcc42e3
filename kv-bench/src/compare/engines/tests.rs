//! What every engine must do, so that its figures are those of the work that was asked for.

use std::{collections::BTreeMap, path::Path};

use super::all;
use crate::compare::engine::{Database, Engine, Error, Level, Promise, Result, Role, Unsupported};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[test]
fn every_engine_does_what_it_is_asked_for() {
    for engine in all() {
        for level in [Level::Disk, Level::Process] {
            if let Some(promise) = engine.promise(level) {
                check(engine, level, promise).unwrap_or_else(|error| panic!("{} at {level:?}: {error}", engine.name()));
            }
        }
    }
}

/// Where the settings name a package and its version, it is the one that is compiled in.
#[test]
fn versions_are_those_of_the_lock_file() {
    let lock = include_str!("../../../../Cargo.lock");
    let mut named = 0;
    for engine in all() {
        let settings = engine.settings(Level::Disk);
        let words: Vec<_> = settings.split([' ', ',']).collect();
        for pair in words.windows(2) {
            let locked = locked_versions(lock, pair[0]);
            if !locked.is_empty() && pair[1].starts_with(|first: char| first.is_ascii_digit()) {
                assert!(locked.iter().any(|locked| is_of(locked, pair[1])), "{settings}: {locked:?} in Cargo.lock");
                named += 1;
            }
        }
    }
    assert!(named > 0, "no engine names its version");
}

fn locked_versions<'a>(lock: &'a str, package: &str) -> Vec<&'a str> {
    let name = format!("name = \"{package}\"\nversion = \"");
    lock.match_indices(&name).filter_map(|(at, _)| lock[at + name.len()..].split('"').next()).collect()
}

/// `0.17.1` is of `0.17`, and not of `0.1`.
fn is_of(locked: &str, version: &str) -> bool {
    locked.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn check(engine: &dyn Engine, level: Level, promise: Promise) -> Result {
    let directory = tempfile::tempdir()?;
    let Some(database) = supported(engine.open(directory.path(), level))? else { return Ok(()) };
    let mut model = write(&*database)?;
    agree(&*database, &model)?;
    supported(database.checkpoint())?;
    agree(&*database, &model)?;
    update(&*database, &mut model)?;
    agree(&*database, &model)?;
    database.sync()?;
    database.close()?;
    // The machine has nothing to open.
    if promise != Promise::Nothing && engine.role() != Role::Limit {
        reopen(engine, directory.path(), level, &model)?;
    }
    Ok(())
}

/// What was closed cleanly is there again.
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

fn agree(database: &dyn Database, model: &Entries) -> Result {
    let mut session = database.session()?;
    // What finds no keys is a log, which gives what was replaced, too.
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
            found.sort(); // there are engines without an order
        }
        let expected: Vec<_> =
            model.range(from.to_vec()..).take(most).map(|(key, value)| (key.clone(), value.clone())).collect();
        assert!(found == expected, "{} entries scanned from {from:?}, {} expected", found.len(), expected.len());
    }
    Ok(())
}

/// `None` if there is no such call.
fn supported<T>(result: Result<T>) -> Result<Option<T>> {
    result.map(Some).or_else(|error: Error| if error.is::<Unsupported>() { Ok(None) } else { Err(error) })
}
