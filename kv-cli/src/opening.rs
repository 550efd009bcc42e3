//! Opening the store in a directory, and its collections. A command that only reads never creates
//! one.

use std::{
    ffi::OsStr,
    io::{self, ErrorKind},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use kv_store::{Collection, Error, KEY_BYTES_MAX, NAME_BYTES_MAX, Options, Snapshot, Store};

use crate::{
    env::Env,
    failure::{Context, Failure, explain},
    near::nearest,
    output::escaped,
};

/// Opens the store, which must exist.
pub fn existing(env: &Env<'_>) -> Result<Store, Failure> {
    if let Some(store) = &env.held {
        return Ok(store.clone());
    }
    opened(env, open(env))
}

/// The store as it is now, for a command that only reads. The store must exist. It is locked no
/// longer than it takes to open it. If another process has it open, it is read beside that process:
/// everything is there that survives a power cut.
pub fn view(env: &Env<'_>) -> Result<Snapshot, Failure> {
    if let Some(store) = &env.held {
        return Ok(store.snapshot());
    }
    match Options::default().create(false).open(env.dir()) {
        Err(Error::Locked { .. }) => {
            let follower = kv_store::follow(env.dir());
            follower.map(|follower| follower.snapshot()).doing(|| doing(env.dir()))
        }
        tried => opened(env, tried).map(|store| store.snapshot()),
    }
}

fn open(env: &Env<'_>) -> kv_store::Result<Store> {
    Options::default().create(false).lock_wait(env.wait).open(env.dir())
}

/// Tries again while another process has the store open, for as long as the user wants to wait.
pub fn waiting<T>(env: &Env<'_>, attempt: impl Fn() -> kv_store::Result<T>) -> kv_store::Result<T> {
    const PAUSE: Duration = Duration::from_millis(50);
    let began = Instant::now();
    loop {
        match attempt() {
            Err(Error::Locked { .. }) if began.elapsed() < env.wait => thread::sleep(PAUSE),
            tried => return tried,
        }
    }
}

/// The store, of which the user is told what the opening has found.
fn opened(env: &Env<'_>, tried: kv_store::Result<Store>) -> Result<Store, Failure> {
    match tried {
        Err(error) if is_absence(&error) => Err(absent(env.dir())),
        tried => tried.doing(|| doing(env.dir())).inspect(|store| notes(env, store)),
    }
}

/// Opens the store. If it is absent, creates it, and says so.
pub fn or_new(env: &Env<'_>) -> Result<Store, Failure> {
    if let Some(store) = &env.held {
        return Ok(store.clone());
    }
    match open(env) {
        Err(error) if is_absence(&error) => create(env),
        tried => opened(env, tried),
    }
}

fn create(env: &Env<'_>) -> Result<Store, Failure> {
    let dir = env.dir();
    // The library would create every directory of the path, also of one that is mistyped.
    let parent = dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    if !dir.exists() && !parent.exists() {
        return Err(Failure::Io {
            what: format!("cannot create a store in {}", shown(dir)),
            source: io::Error::new(
                ErrorKind::NotFound,
                format!("there is no directory {}; create it first, or correct --dir or KV_DIR", shown(parent)),
            ),
        });
    }
    let store = kv_store::open(dir).doing(|| doing(dir))?;
    env.teller.note(format_args!("created a new store in {}", shown(dir)));
    Ok(store)
}

fn doing(dir: &Path) -> String {
    format!("cannot open the store in {}", dir.display())
}

/// Whether an error says that there is no store.
pub fn is_absence(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// The failure of a command that found no store.
pub fn absent(dir: &Path) -> Failure {
    Failure::Absent(format!(
        "there is no store in {}; put, import and load create one there, --dir or KV_DIR name another directory",
        shown(dir)
    ))
}

/// A path in a message. It is absolute, because a relative one is often looked for in the wrong
/// directory.
fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Reports what the user should know about the opening: that a torn tail was truncated, or that a
/// checkpoint cannot be used.
fn notes(env: &Env<'_>, store: &Store) {
    let recovery = store.recovery();
    if !recovery.log_notes.is_empty() || !recovery.bad_checkpoints.is_empty() {
        env.teller.note(format_args!("{recovery}"));
    }
}

/// A handle to a collection, whether or not it exists.
pub fn collection(store: &Store, name: &str) -> Result<Collection, Failure> {
    store.collection(name).doing(|| format!("cannot use the collection {name:?}"))
}

/// The name of a collection, which must exist.
pub fn existing_collection<'n>(view: &Snapshot, name: &'n OsStr) -> Result<&'n str, Failure> {
    let name = name_of(name)?;
    if exists(view, name)? { Ok(name) } else { Err(absent_collection(view, name)) }
}

/// The failure of a command that found no such collection.
pub fn absent_collection(view: &Snapshot, name: &str) -> Failure {
    let suggestion = near_collection(view, name)
        .map_or("`kv list` shows the collections".into(), |near| format!("did you mean {near:?}?"));
    Failure::Absent(format!("there is no collection {name:?}; {suggestion}"))
}

/// An existing collection that a mistyped name may have meant.
fn near_collection(view: &Snapshot, name: &str) -> Option<String> {
    let all = view.collections().ok()?;
    nearest(name, all.iter().map(|info| &*info.name)).map(str::to_owned)
}

/// Whether there is a collection of that name.
pub fn exists(view: &Snapshot, name: &str) -> Result<bool, Failure> {
    let all = view.collections().doing(|| "cannot list the collections".into())?;
    Ok(all.iter().any(|info| info.name == name))
}

/// The failure for an absent key of a collection. It says if the whole collection is absent.
pub fn absent_key(view: &Snapshot, name: &str, key: &[u8]) -> Failure {
    match exists(view, name) {
        Ok(true) => {
            let near = near_key(view, name, key).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            Failure::Absent(format!("there is no key \"{}\" in the collection {name:?}{near}", escaped(key)))
        }
        Ok(false) => absent_collection(view, name),
        Err(failure) => failure,
    }
}

/// A key that a mistyped one may have meant, among those that are next to it in the order.
fn near_key(view: &Snapshot, name: &str, key: &[u8]) -> Option<String> {
    const NEIGHBOURS: usize = 500;
    let wanted = str::from_utf8(key).ok()?;
    let below = view.range(name, ..key).rev().take(NEIGHBOURS);
    let above = view.range(name, key..).take(NEIGHBOURS);
    let keys: Vec<_> = below.chain(above).map_while(Result::ok).map(|entry| entry.key).collect();
    nearest(wanted, keys.iter().filter_map(|key| str::from_utf8(key).ok())).map(|near| escaped(near.as_bytes()))
}

/// Says that a collection was created, and which one the user may have meant.
pub fn announce_collection(env: &Env<'_>, store: &Store, name: &str) {
    if env.teller.is_quiet() {
        return;
    }
    let near =
        near_collection(&store.snapshot(), name).map(|near| format!("; there is also {near:?}")).unwrap_or_default();
    env.teller.note(format_args!("created the collection {name:?}{near}"));
}

/// A collection's name, which has to be one that a store accepts.
pub fn name_of(name: &OsStr) -> Result<&str, Failure> {
    let text = name.to_str().ok_or_else(|| Failure::Refused(format!("the collection name {name:?} is not UTF-8")))?;
    let (len, max) = (text.len(), NAME_BYTES_MAX);
    if (1..=max).contains(&len) {
        return Ok(text);
    }
    Err(Error::InvalidCollectionName { len, max }).doing(|| format!("cannot use the collection {text:.40?}"))
}

/// Refuses a key that no store accepts, before a store is created for it.
pub fn check_key(key: &[u8]) -> Result<(), Failure> {
    let (len, max) = (key.len(), KEY_BYTES_MAX);
    if (1..=max).contains(&len) {
        return Ok(());
    }
    Err(Error::InvalidKey { len, max }).doing(|| format!("cannot use the key \"{}\"", escaped(key)))
}

/// Closes a store that was written to. A failure is only reported and is not fatal, because what
/// was acknowledged is safe.
pub fn close(env: &Env<'_>, store: &Store) {
    if env.held.is_some() {
        return; // it stays open
    }
    if let Err(error) = store.close() {
        let line = explain("cannot close the store cleanly", &error);
        env.teller.warn(format_args!("{line} (everything that was acknowledged is safe)"));
    }
}
