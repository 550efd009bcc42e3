//! The job that prepares spares does not die unnoticed, whichever call of the file layer panics in
//! it.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use kv_core::{Durability, Error, Log, Lsn};
use kv_testkit::ManualScheduler;
use kv_vfs::{Access, File, Lock, Result, Vfs};
use kv_wal::{Options, SegmentedLog};

use crate::{
    memory::{Files, MemoryVfs},
    support::{append, append_and_sync, assert_holds, small},
};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped, on purpose");
    }
}

/// Counts calls down to one that panics, before the call does its work if `is_before`, otherwise
/// afterwards.
#[derive(Debug)]
struct Calls {
    left: AtomicI64,
    is_before: bool,
}

impl Calls {
    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        let panics = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if panics && self.is_before {
            panic_any(Bomb);
        }
        let result = call();
        if panics {
            panic_any(Bomb);
        }
        result
    }
}

#[derive(Debug)]
struct Panicking<T: ?Sized> {
    calls: Arc<Calls>,
    inner: Arc<T>,
}

impl<T: ?Sized> Panicking<T> {
    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(Panicking { calls: Arc::clone(&self.calls), inner })
    }
}

impl Vfs for Panicking<dyn Vfs> {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        self.calls.call(|| self.inner.open(name, access)).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.calls.call(|| self.inner.create(name)).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.calls.call(|| self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.calls.call(|| self.inner.remove(name))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.calls.call(|| self.inner.list())
    }

    fn sync_directory(&self) -> Result<()> {
        self.calls.call(|| self.inner.sync_directory())
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.open_directory(name)
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.create_directory(name)
    }

    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        self.inner.try_lock(name, access)
    }

    fn is_in_place(&self) -> bool {
        self.calls.call(|| self.inner.is_in_place())
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }

    fn random(&self) -> Result<u128> {
        self.calls.call(|| self.inner.random())
    }
}

impl File for Panicking<dyn File> {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.calls.call(|| self.inner.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.calls.call(|| self.inner.write_at(bytes, offset))
    }

    fn sync_data(&self) -> Result<()> {
        self.calls.call(|| self.inner.sync_data())
    }

    fn drop_cache(&self) -> Result<()> {
        self.calls.call(|| self.inner.drop_cache())
    }

    fn len(&self) -> Result<u64> {
        self.calls.call(|| self.inner.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.calls.call(|| self.inner.set_len(len))
    }

    fn map(&self) -> Result<Bytes> {
        self.calls.call(|| self.inner.map())
    }
}

/// Runs `work` and makes its n-th call of the file layer panic. No panic may escape. Returns
/// whether there were that many calls.
fn with_panic(calls: &Calls, n: i64, work: impl FnOnce()) -> bool {
    calls.left.store(n, Ordering::SeqCst);
    let ran = catch_unwind(AssertUnwindSafe(work));
    let panicked = calls.left.swap(0, Ordering::SeqCst) <= 0;
    ran.unwrap_or_else(|payload| {
        mem::forget(payload);
        panic!("call {n}: the panic escaped");
    });
    panicked
}

/// Opens a log with one record, whose job has not run.
fn open(is_before: bool) -> (Arc<MemoryVfs>, Arc<Calls>, ManualScheduler, SegmentedLog) {
    let files = MemoryVfs::new(&Files::new());
    let calls = Arc::new(Calls { left: AtomicI64::new(0), is_before });
    let scheduler = ManualScheduler::new();
    let vfs: Arc<Panicking<dyn Vfs>> = Arc::new(Panicking { calls: Arc::clone(&calls), inner: files.clone() });
    let log = SegmentedLog::open(vfs, Options { scheduler: Arc::new(scheduler.clone()), ..small() }).unwrap();
    append_and_sync(&log, 1);
    (files, calls, scheduler, log)
}

#[test]
fn a_panic_while_a_spare_is_prepared_poisons_the_log() {
    for is_before in [true, false] {
        for n in 1.. {
            let (files, calls, scheduler, log) = open(is_before);
            let panicked = with_panic(&calls, n, || assert!(scheduler.run("kv-wal-spare").is_some()));
            let record = log.append(b"the next", Durability::Disk);
            if !panicked {
                log.sync(record.unwrap()).unwrap();
                assert!(n > 6, "{n} calls are too few: a spare is created, written, synced, renamed");
                break;
            }
            let error = record.unwrap_err();
            assert!(matches!(&error, Error::Poisoned { .. }), "call {n}: {error:?}");
            assert!(error.chain().contains("the file layer panicked"), "call {n}: {}", error.chain());
            drop(log);
            let reopened = SegmentedLog::open(MemoryVfs::new(&files.files()), small()).unwrap();
            assert_holds(&reopened, 1);
        }
    }
}

/// A panic in a flush that other threads may wait for: in one that writes records, and in one that
/// only closes a block.
#[test]
fn a_panic_in_a_flush_poisons_the_log() {
    for durability in [Durability::Disk, Durability::Process] {
        for is_before in [true, false] {
            for n in 1.. {
                let (files, calls, _, log) = open(is_before);
                let last = append(&log, 1, durability);
                let mut synced = Ok(Lsn::START);
                let panicked = with_panic(&calls, n, || synced = log.sync(last));
                if !panicked {
                    synced.unwrap();
                    assert!(n > 2, "{n} calls are too few: a flush writes, syncs and marks");
                    break;
                }
                let error = synced.unwrap_err();
                assert!(matches!(&error, Error::OutcomeUnknown { .. }), "call {n}: {error:?}");
                assert!(matches!(log.append(b"the next", durability), Err(Error::Poisoned { .. })), "call {n}");
                assert!(log.sync(last).is_err() && log.close().is_err(), "call {n}: the flush was retried");
                drop(log);
                let reopened = SegmentedLog::open(MemoryVfs::new(&files.files()), small()).unwrap();
                assert!(reopened.bounds().durable >= Lsn(1), "call {n}");
            }
        }
    }
}
