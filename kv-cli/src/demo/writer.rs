//! The process that the demo kills. Several threads write, and print each write once it is
//! acknowledged.

use std::{
    io::{self, Write},
    thread,
};

use kv_store::Collection;

use crate::{
    cli::DemoWriter,
    env::Env,
    failure::{Context, Failure},
    opening,
};

/// How many threads write. Each waits for its last write before it starts the next.
pub const THREADS: u32 = 4;

/// Writes until it is killed, or its output is closed.
pub fn run(env: &Env<'_>, args: &DemoWriter) -> Result<(), Failure> {
    let store = opening::or_new(env)?;
    let collection = store.collection(&args.collection).doing(|| "cannot use the collection".into())?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (collection, prefix) = (&collection, format!("{}{number}-", args.prefix));
                scope.spawn(move || write(collection, &prefix))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
}

fn write(collection: &Collection, prefix: &str) -> Result<(), Failure> {
    for number in 0_u64.. {
        let key = key(prefix, number);
        collection.put(key.as_bytes(), value(&key).as_bytes()).doing(|| format!("cannot write {key}"))?;
        // One call, so that lines of different threads do not mix.
        io::stdout().lock().write_all(format!("{key}\n").as_bytes()).map_err(Failure::Output)?;
    }
    Ok(())
}

/// The key of a thread's write, counted from 0.
pub fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:08}")
}

/// The value that belongs to a key, so that a wrong value can be recognized.
pub fn value(key: &str) -> String {
    format!("{key} was written here; ").repeat(8)
}
