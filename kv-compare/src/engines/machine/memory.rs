//! A database of this level takes either puts that survive a killed process, or loads and reads of
//! a table.

use std::{
    fs::File,
    mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use kv_bench::harness::{
    engine::{Database, Result, Session, Unsupported},
    entry_codec,
    load_once::LoadOnce,
};
use kv_vfs::{OsVfs, Vfs};
use memmap2::MmapMut;

use super::{
    mapped,
    ring::{Ring, zero_filled},
    table::Table,
};

/// Small enough that the first put, which creates the file, takes no noticeable time.
const MAPPED_MEBIBYTES: u64 = 4;
/// The file of the table's entries.
const ENTRIES: &str = "entries";

/// A directory. The first call decides what it is used for.
pub struct Memory {
    directory: PathBuf,
    used_for: OnceLock<Use>,
}

enum Use {
    /// Puts into these files, one for each session.
    Puts(Mutex<Vec<File>>),
    Table(LoadOnce<Table, Loaded>),
}

struct Loaded {
    table: Table,
    /// The same entries in a mapped file.
    entries: Bytes,
}

impl Memory {
    pub fn open(directory: &Path) -> Result<Self> {
        if directory.join(ENTRIES).try_exists()? {
            return Err(Unsupported("a table in memory is lost with its process").into());
        }
        Ok(Self { directory: directory.to_owned(), used_for: OnceLock::new() })
    }

    fn new_map(&self) -> Result<Mapped> {
        let Use::Puts(files) = self.used_for.get_or_init(|| Use::Puts(Mutex::default())) else {
            return Err(Unsupported("a table is loaded in batches").into());
        };
        let mut files = lock(files);
        let file = zero_filled(&self.directory.join(format!("mapped-{}", files.len())), MAPPED_MEBIBYTES)?;
        let map = mapped::writable(&file)?;
        files.push(file);
        Ok(Mapped { map, ring: Ring::new(MAPPED_MEBIBYTES) })
    }

    #[inline]
    fn loaded(&self) -> Result<Option<&Loaded>> {
        match self.used_for.get() {
            Some(Use::Table(table)) => table.read(|table| self.store(table)),
            Some(Use::Puts(_)) => Err(Unsupported("the machine does not find what it put").into()),
            None => Ok(None),
        }
    }

    fn store(&self, table: &mut Table) -> Result<Loaded> {
        let vfs = OsVfs::open(&self.directory)?;
        let file = vfs.create(ENTRIES)?;
        file.write_all_at(table.entries(), 0)?;
        file.sync_data()?;
        vfs.sync_directory()?;
        Ok(Loaded { table: mem::take(table), entries: file.map()? })
    }
}

impl Database for Memory {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls { memory: self, mapped: None }))
    }

    fn sync(&self) -> Result {
        match self.used_for.get() {
            Some(Use::Puts(files)) => Ok(lock(files).iter().try_for_each(File::sync_data)?),
            _ => self.loaded().map(drop),
        }
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls<'a> {
    memory: &'a Memory,
    /// The session's file. The first put makes it, so most sessions have none.
    mapped: Option<Mapped>,
}

struct Mapped {
    map: MmapMut,
    ring: Ring,
}

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        let Mapped { map, ring } = match &mut self.mapped {
            Some(mapped) => mapped,
            none => none.insert(self.memory.new_map()?),
        };
        let place = ring.next(entry_codec::length(key, value))?;
        entry_codec::write(&mut &mut map[place], key, value)?;
        Ok(())
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let Use::Table(table) = self.memory.used_for.get_or_init(|| Use::Table(LoadOnce::new())) else {
            return Err(Unsupported("there are puts already").into());
        };
        table.load(|table| entries.iter().try_for_each(|(key, value)| table.insert(key, value)))
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.memory.loaded()?.and_then(|loaded| loaded.table.get(key)) {
            read(value);
        }
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("the entries of the file have no order").into());
        }
        if let Some(loaded) = self.memory.loaded()? {
            let _ = entry_codec::scan(&loaded.entries, read);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
