//! Runs the engine over a log of your own. Here, that log counts its calls and passes them on to
//! the log in memory. Run it with `cargo run -p kv-store --example own_backend`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kv_core::{
    Bounds, Durability, FlushStats, Log, LogId, LogReader, Lsn, MemoryCheckpointer, MemoryLog, Result, Store,
    StoreOptions,
};

/// [`Log`] says what a log must do, as numbered guarantees. `kv_testkit::log_suite!` checks them.
#[derive(Default)]
struct CountingLog {
    inner: MemoryLog,
    records: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
}

// The lint finds methods that have a default and were not forwarded.
#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Log for CountingLog {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.make_room(record_bytes, kept_bytes)
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.check_room(record_bytes, kept_bytes)
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        self.inner.append_deletion(record, durability, kept_bytes)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        self.inner.append(record, durability)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.inner.reader(after)
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.inner.trim(upto)
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.inner.medium_bytes_after(after)
    }

    fn flush_stats(&self) -> FlushStats {
        self.inner.flush_stats()
    }

    fn opening_notes(&self) -> Vec<String> {
        self.inner.opening_notes()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

fn main() -> Result<()> {
    let log = Arc::new(CountingLog::default());
    let store =
        Store::with_backends(Arc::clone(&log) as _, Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    let numbers = store.collection("numbers")?;
    for number in 0..100_u8 {
        numbers.put([number], "a value")?;
    }
    store.close()?;
    let [records, bytes, syncs] = [&log.records, &log.bytes, &log.syncs].map(|count| count.load(Ordering::Relaxed));
    println!("{records} records, {bytes} bytes, {syncs} syncs");
    Ok(())
}
