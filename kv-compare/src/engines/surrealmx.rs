//! SurrealMX: transactions on a radix tree in memory, with a log of changes on disk.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};
use surrealmx::{AolMode, Database as Store, DatabaseOptions, Error, FsyncMode, PersistenceOptions, Transaction};

/// What a transaction does.
type Change<'a> = dyn FnMut(&mut Transaction) -> std::result::Result<(), Error> + 'a;

/// SurrealMX with its log, which is written at each commit, and synced for [`Level::Disk`].
pub struct Surrealmx;

impl Engine for Surrealmx {
    fn name(&self) -> &'static str {
        "surrealmx"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let sync = match level {
            Level::Disk => "synced at each append",
            Level::Process => "never synced",
        };
        format!("surrealmx 1.1.0, log written at commit and {sync}, snapshots by call only")
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let fsync = if level == Level::Disk { FsyncMode::EveryAppend } else { FsyncMode::Never };
        let log = directory.join("aol.bin");
        let options = PersistenceOptions::new(directory)
            .with_aol_path(log.clone())
            .with_aol_mode(AolMode::SynchronousOnCommit)
            .with_fsync_mode(fsync);
        Ok(Box::new(Opened { store: Store::new_with_persistence(DatabaseOptions::default(), options)?, log }))
    }
}

struct Opened {
    store: Store,
    log: PathBuf,
}

impl Opened {
    /// Runs a transaction, again and again while it conflicts with others.
    fn commit(&self, change: &mut Change<'_>) -> Result {
        loop {
            let mut transaction = self.store.transaction(true);
            match change(&mut transaction).and_then(|()| transaction.commit()) {
                Err(Error::KeyReadConflict | Error::KeyWriteConflict) => {}
                outcome => return Ok(outcome?),
            }
        }
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    /// There is no call for that, so this syncs the log's file.
    fn sync(&self) -> Result {
        Ok(File::open(&self.log)?.sync_data()?)
    }

    fn checkpoint(&self) -> Result {
        if let Some(persistence) = self.store.persistence() {
            persistence.snapshot()?;
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        Ok(self.0.store.set(key, value)?)
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        self.0.commit(&mut |transaction| entries.iter().try_for_each(|(key, value)| transaction.set(*key, *value)))
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        self.0.store.with_value(key, |value| read(value))?;
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        self.0.commit(&mut |transaction| {
            let mut value = transaction.get(key)?.map_or_else(Vec::new, |value| value.to_vec());
            change(&mut value);
            transaction.set(key, value)
        })
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        // Ranges have an end. No key of the benchmark is above this one.
        self.0.store.scan_with(from..&[u8::MAX; 64][..], None, None, |key, value| read(key, value))?;
        Ok(())
    }
}
