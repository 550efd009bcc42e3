//! Puts that survive a power cut.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use kv_bench::harness::{
    engine::{Database, Result, Session, Unsupported},
    entry_codec,
};

use super::ring::{Ring, zero_filled};

/// Small, because there are many sessions and the length does not matter.
const FILE_MEBIBYTES: u64 = 4;

/// A directory with a file for each session.
pub struct Flushed {
    directory: PathBuf,
    sessions: AtomicUsize,
}

impl Flushed {
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), sessions: AtomicUsize::new(0) }
    }
}

impl Database for Flushed {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let file = zero_filled(&self.directory.join(format!("flushed-{number}")), FILE_MEBIBYTES)?;
        file.sync_all()?;
        File::open(&self.directory)?.sync_all()?; // for the new name
        Ok(Box::new(Calls { file, ring: Ring::new(FILE_MEBIBYTES), entry: Vec::new() }))
    }

    fn sync(&self) -> Result {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls {
    file: File,
    ring: Ring,
    entry: Vec<u8>,
}

impl Session for Calls {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.entry.clear();
        entry_codec::write(&mut self.entry, key, value)?;
        let place = self.ring.next(self.entry.len())?;
        self.entry.resize(place.len(), 0);
        self.file.write_all_at(&self.entry, place.start as u64)?;
        self.file.sync_data()?;
        Ok(())
    }

    fn put_batch(&mut self, _: &[(&[u8], &[u8])]) -> Result {
        Err(Unsupported("the limit of durable writes is that of single puts").into())
    }

    fn get(&mut self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result {
        Err(Unsupported("the machine does not find what it put on disk").into())
    }
}
