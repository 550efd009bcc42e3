//! Killing a process in the middle of its writes, and checking that what it acknowledged is there.

use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use kv_store::Store;

use super::writer::{self, THREADS};
use crate::{
    failure::{Context, Failure},
    output::{escaped, grouped},
};

/// The child is killed after this number of acknowledged writes, or after [`TIME_ENOUGH`] since the
/// first.
const ACKNOWLEDGED_ENOUGH: usize = 2_000;
const TIME_ENOUGH: Duration = Duration::from_secs(2);
/// How long the first acknowledged write may take: on a busy machine a process starts slowly, and a
/// disk flushes slowly.
const TIME_TO_BEGIN: Duration = Duration::from_secs(60);

const SIGKILL: i32 = 9;

/// Lets a child write to the store, kills it, and returns the keys of all writes that it had
/// acknowledged.
pub fn killed_in_mid_write(dir: &Path, collection: &str, prefix: &str) -> Result<(HashSet<String>, String), Failure> {
    let mut child = spawn(dir, collection, prefix).doing(|| "cannot start a child process".into())?;
    let acknowledged = kill_after_enough(&mut child);
    // The child must not outlive this process, even if something went wrong.
    let _ = child.kill();
    let status = child.wait().doing(|| "cannot wait for the child process".into())?;
    let acknowledged = acknowledged.doing(|| "cannot read from the child process".into())?;
    if status.signal() != Some(SIGKILL) || acknowledged.is_empty() {
        return Err(Failure::Io {
            what: "the child process was not killed in the middle of its writes".into(),
            source: io::Error::other(status.to_string()),
        });
    }
    let text = format!("child process killed after {} acknowledged writes", grouped(acknowledged.len() as u64));
    Ok((acknowledged, text))
}

fn spawn(dir: &Path, collection: &str, prefix: &str) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dir").arg(dir).args(["demo-writer", collection, prefix]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
}

fn kill_after_enough(child: &mut Child) -> io::Result<HashSet<String>> {
    let pipe = child.stdout.take().ok_or_else(|| io::Error::other("the child has no stdout"))?;
    let lines = lines_of(pipe);
    let mut acknowledged = HashSet::new();
    let mut deadline = Instant::now() + TIME_TO_BEGIN;
    while acknowledged.len() < ACKNOWLEDGED_ENOUGH {
        let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else { break };
        if acknowledged.is_empty() {
            deadline = Instant::now() + TIME_ENOUGH;
        }
        acknowledged.insert(line?);
    }
    child.kill()?;
    // What is still in the pipe was acknowledged too.
    for line in lines {
        acknowledged.insert(line?);
    }
    Ok(acknowledged)
}

/// The whole lines of a pipe until it ends. A thread reads them, so that waiting for one can time
/// out.
fn lines_of(pipe: ChildStdout) -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        loop {
            line.clear();
            let next = match pipe.read_line(&mut line) {
                // A line that was cut off acknowledges nothing.
                Ok(_) => line.strip_suffix('\n').map(|line| Ok(line.to_owned())),
                Err(e) => Some(Err(e)),
            };
            let Some(next) = next else { return };
            if next.is_err() | sender.send(next).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Checks that every acknowledged write is there with its value. Of the other writes, only the one
/// that each thread was waiting for may be there.
pub fn check(
    store: &Store,
    collection: &str,
    prefix: &str,
    acknowledged: &HashSet<String>,
) -> Result<((), String), Failure> {
    let doing = || "cannot read the writes of the killed process".to_owned();
    let collection = store.collection(collection).doing(doing)?;
    let mut found = 0;
    for entry in collection.prefix(prefix.as_bytes()) {
        let entry = entry.doing(doing)?;
        let key = escaped(&entry.key);
        if entry.value != writer::value(&key) {
            return Err(wrong(&key, "has a value that was never written"));
        }
        found += usize::from(acknowledged.contains(&key));
    }
    if found != acknowledged.len() {
        let missing = acknowledged.iter().find(|key| !matches!(collection.get(key.as_bytes()), Ok(Some(_))));
        return Err(wrong(missing.map_or("?", String::as_str), "was acknowledged and is missing"));
    }
    let unacknowledged = in_order(store, collection.name(), prefix)?.saturating_sub(found as u64);
    if unacknowledged > u64::from(THREADS) {
        return Err(wrong(prefix, "has more writes than were ever started"));
    }
    let found = grouped(found as u64);
    Ok(((), format!("all {found} acknowledged writes are there, and {unacknowledged} more")))
}

/// How many writes there are in all. None may be missing before another one of the same thread.
fn in_order(store: &Store, collection: &str, prefix: &str) -> Result<u64, Failure> {
    let doing = || "cannot read the writes of the killed process".to_owned();
    let collection = store.collection(collection).doing(doing)?;
    let mut count = 0;
    for thread in 0..THREADS {
        let prefix = format!("{prefix}{thread}-");
        for (number, entry) in (0..).zip(collection.prefix(prefix.as_bytes())) {
            let expected = writer::key(&prefix, number);
            if entry.doing(doing)?.key != expected {
                return Err(wrong(&expected, "is missing, though a later one of its thread is there"));
            }
            count += 1;
        }
    }
    Ok(count)
}

fn wrong(key: &str, how: &str) -> Failure {
    Failure::Damaged(format!("a check failed: the write {key} {how}"))
}
