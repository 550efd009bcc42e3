//! The engine over a log of one's own: here one that counts what it is asked for, around the one in memory.
//! `cargo run -p kv-store --example own_backend`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kv_core::{
    Bounds, Durability, Log, LogId, LogReader, Lsn, MemoryCheckpointer, MemoryLog, Result, Store, StoreOptions,
};

/// What a log has to do is said, with numbered guarantees, at [`Log`]; `kv_testkit::log_suite!` checks them.
#[derive(Default)]
struct CountingLog {
    inner: MemoryLog,
    records: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
}

impl Log for CountingLog {
    fn id(&self) -> LogId {
        self.inner.id()
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
