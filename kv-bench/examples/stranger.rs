//! A program of your own that measures an engine and a log beside those of this project:
//!
//! ```text
//! cargo run --release -p kv-bench --example stranger -- --quick --engines kv,kv-wal,tiny,memory-log
//! ```

use std::{
    collections::BTreeMap,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use kv_bench::harness::{
    self, Database, Engine, Session,
    engine::{Level, Promise, Result, Role},
    engines::{self, LogAlone},
};
use kv_core::MemoryLog;

fn main() -> ExitCode {
    let mut all = engines::all();
    all.extend([&Tiny as &dyn Engine, &MEMORY_LOG]);
    harness::main(&all)
}

/// This is all that a log needs.
static MEMORY_LOG: LogAlone = LogAlone {
    name: "memory-log",
    role: Role::Part,
    settings: "kv-core's MemoryLog",
    promise: |_| Some(Promise::Nothing),
    open: |_| Ok(Arc::new(MemoryLog::new())),
};

/// An engine: a map behind a lock, which stores nothing.
struct Tiny;

impl Engine for Tiny {
    fn name(&self) -> &'static str {
        "tiny"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, _: Level) -> String {
        "a BTreeMap behind a Mutex".to_owned()
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        (level == Level::Process).then_some(Promise::Nothing)
    }

    fn open(&self, _: &Path, _: Level) -> Result<Box<dyn Database>> {
        Ok(Box::new(Map::default()))
    }
}

#[derive(Default)]
struct Map(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Database for Map {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }

    fn sync(&self) -> Result {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

impl Session for &Map {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.put_batch(&[(key, value)])
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.extend(entries.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            read(value);
        }
        Ok(())
    }
}
