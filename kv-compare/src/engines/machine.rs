//! The raw machine: for each call the simplest possible loop, without an engine. It shows limits
//! and is not a store: it has only the calls that every store needs, and no call finds what another
//! has written.
//!
//! | opened for | call | what it does |
//! |---|---|---|
//! | [`Level::Disk`] | put | `pwrite` of the entry (128 B for a key of 16 and a value of 100) into a zero-filled file, `fdatasync` |
//! | [`Level::Process`] | put | copies the entry into a mapped file, whose pages were touched before |
//! | | put_batch | copies the entries into an arena in memory, and their offsets into a hash table |
//! | | sync | `write` of the arena into a file, `fdatasync` |
//! | | get | looks the key up in the hash table, and compares the key in the arena |
//! | | scan | reads the mapped file of entries sequentially |
//!
//! Each session puts into a file of its own, which wraps around at its end. So the flushes of
//! several threads run in parallel: none waits for another, and none is shared. The figure of one
//! thread is the limit without shared flushes. With group commit, where one flush serves many
//! threads, the limit is that figure times the number of threads.

mod flushed;
mod mapped;
mod memory;
mod ring;
mod table;

use std::path::Path;

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role};

/// The machine, without any engine.
pub struct Machine;

impl Engine for Machine {
    fn name(&self) -> &'static str {
        "machine"
    }

    fn role(&self) -> Role {
        Role::Limit
    }

    fn settings(&self, level: Level) -> String {
        match level {
            Level::Disk => "puts: pwrite and fdatasync into a zero-filled file of the thread's own",
            Level::Process => {
                "puts: copies into a mapped file of the thread's own; batches and gets: a hash table of offsets into an arena, \
                 kept from the sync on; scans: a mapped file"
            }
        }
        .to_owned()
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        Ok(match level {
            Level::Disk => Box::new(flushed::Flushed::new(directory)),
            Level::Process => Box::new(memory::Memory::open(directory)?),
        })
    }

    fn open_held(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        self.open(directory, level)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use kv_bench::harness::engine::Unsupported;

    #[test]
    fn puts_follow_each_other_in_a_file_of_the_session() -> Result {
        for (level, name) in [(Level::Disk, "flushed"), (Level::Process, "mapped")] {
            let directory = tempfile::tempdir()?;
            let database = Machine.open(directory.path(), level)?;
            let (mut first, mut second) = (database.session()?, database.session()?);
            for (key, value) in [(b"one", b"1"), (b"two", b"2")] {
                first.put(key, value)?;
            }
            second.put(b"three", b"3")?;
            assert!(first.get(b"one", &mut |_| ()).unwrap_err().is::<Unsupported>());
            database.sync()?;
            let bytes = |number| fs::read(directory.path().join(format!("{name}-{number}")));
            assert!(bytes(0)?.starts_with(b"\x03\0\0\0\x01\0\0\0one1\0\0\0\0\x03\0\0\0\x01\0\0\0two2\0\0\0\0"));
            assert!(bytes(1)?.starts_with(b"\x05\0\0\0\x01\0\0\0three3\0\0"));
        }
        Ok(())
    }
}
