//! Mace: a B+-tree whose pages are written as in a log-structured merge tree.

use std::path::Path;

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};
use mace::{Bucket, BucketOptions, Mace as Store, OpCode, Options, TxnKV};

const BUCKET: &str = "bench";

/// What a transaction does.
type Change<'a> = dyn FnMut(&TxnKV<'_>) -> std::result::Result<(), OpCode> + 'a;

/// Mace with its default options, except that commits are synced only for [`Level::Disk`].
pub struct Mace;

impl Engine for Mace {
    fn name(&self) -> &'static str {
        "mace"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let sync = match level {
            Level::Disk => "synced commits",
            Level::Process => "commits not synced",
        };
        format!("mace-kv 0.2.0, {sync}, a transaction for each call")
    }

    /// Without a sync, "a commit only reaches the page cache".
    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let mut options = Options::new(directory.join("mace"));
        options.sync_on_write = level == Level::Disk;
        let store = options.validate().and_then(Store::new).map_err(named)?;
        let bucket = match store.open_bucket(BUCKET) {
            Err(OpCode::NotFound) => store.new_bucket(BUCKET, BucketOptions::default()),
            opened => opened,
        };
        Ok(Box::new(Opened { bucket: bucket.map_err(named)?, store }))
    }
}

/// The engine's errors are no [`std::error::Error`].
fn named(code: OpCode) -> String {
    format!("mace: {code:?}")
}

struct Opened {
    bucket: Bucket,
    store: Store,
}

impl Opened {
    /// Runs a transaction, again and again while it conflicts with others.
    fn commit(&self, change: &mut Change<'_>) -> Result {
        loop {
            let transaction = self.bucket.begin().map_err(named)?;
            match change(&transaction).and_then(|()| transaction.commit()) {
                Err(OpCode::AbortTx | OpCode::Again) => {}
                outcome => return Ok(outcome.map_err(named)?),
            }
        }
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        Ok(self.store.sync().map_err(named)?)
    }

    fn checkpoint(&self) -> Result {
        self.bucket.checkpoint_and_wait();
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        self.0.commit(&mut |transaction| entries.iter().try_for_each(|(key, value)| transaction.upsert(key, value)))
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        match self.0.bucket.view().and_then(|view| view.get(key)) {
            Err(OpCode::NotFound) => Ok(()),
            value => {
                read(value.map_err(named)?.slice());
                Ok(())
            }
        }
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        self.0.commit(&mut |transaction| {
            let mut value = match transaction.get(key) {
                Err(OpCode::NotFound) => Vec::new(),
                value => value?.slice().to_vec(),
            };
            change(&mut value);
            transaction.upsert(key, value)
        })
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let view = self.0.bucket.view().map_err(named)?;
        let _ = view.range(from..).all(|entry| read(entry.key(), entry.val()));
        Ok(())
    }
}
