//! RocksDB, through the crate rocksdb: a log-structured merge tree.

use std::path::Path;

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session, Snapshot};
use rocksdb::{
    BlockBasedOptions, Cache, CompactionPri, ErrorKind, OptimisticTransactionDB, OptimisticTransactionOptions, Options,
    ReadOptions, SnapshotWithThreadMode, WriteBatchWithTransaction, WriteOptions,
};

const CACHE_BYTES: usize = 1 << 30;

/// RocksDB with the settings of its guide to basic tuning.
pub struct Rocksdb;

impl Engine for Rocksdb {
    fn name(&self) -> &'static str {
        "rocksdb"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let sync = level == Level::Disk;
        format!(
            "RocksDB 11.8 by rocksdb 0.25, WAL, sync {sync}, snappy, bloom filters of 10 bits, 1 GiB of block cache, the rest as its guide to basic tuning says, optimistic transactions, built for any x86-64 processor"
        )
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        open_with(CACHE_BYTES, directory, level)
    }

    /// A third of the memory is for the block cache, as RocksDB's guide advises. The page cache has
    /// the rest.
    fn open_within(&self, directory: &Path, level: Level, memory_bytes: u64) -> Result<Box<dyn Database>> {
        open_with(CACHE_BYTES.min(memory_bytes as usize / 3), directory, level)
    }

    fn is_checkpoint_file(&self, file: &Path) -> bool {
        file.extension().is_some_and(|extension| extension == "sst")
    }
}

fn open_with(cache_bytes: usize, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
    let database = OptimisticTransactionDB::open(&options(cache_bytes), directory)?;
    Ok(Box::new(Opened { database, level }))
}

/// The defaults, changed as "Setup Options and Basic Tuning" in RocksDB's wiki advises.
fn options(cache_bytes: usize) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_max_background_jobs(6);
    options.set_bytes_per_sync(1 << 20);
    options.set_compaction_pri(CompactionPri::MinOverlappingRatio);
    options.set_block_based_table_factory(&tables(cache_bytes));
    // Transactions look for conflicts in the memtables that are kept. With this minimum,
    // transactions need no more memory. A transaction that began before a memtable was flushed is
    // retried.
    options.set_max_write_buffer_size_to_maintain(1);
    options
}

fn tables(cache_bytes: usize) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(&Cache::new_lru_cache(cache_bytes));
    tables.set_block_size(16 << 10);
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables.set_bloom_filter(10.0, false);
    tables
}

/// RocksDB recommends optimistic transactions if most writes are not in a transaction: such writes
/// then cost nothing extra. Transactions exclude each other while they commit, but do not exclude a
/// plain put of the same key.
struct Opened {
    database: OptimisticTransactionDB,
    level: Level,
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        let mut write = WriteOptions::default();
        write.set_sync(self.level == Level::Disk);
        Ok(Box::new(Calls { database: &self.database, write, read: ReadOptions::default() }))
    }

    fn sync(&self) -> Result {
        Ok(self.database.flush_wal(true)?)
    }

    fn checkpoint(&self) -> Result {
        Ok(self.database.flush()?)
    }

    fn compact(&self) -> Result {
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(Kept(self.database.snapshot())))
    }

    fn close(self: Box<Self>) -> Result {
        Ok(()) // dropping it closes it
    }
}

struct Calls<'a> {
    database: &'a OptimisticTransactionDB,
    write: WriteOptions,
    read: ReadOptions,
}

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        Ok(self.database.put_opt(key, value, &self.write)?)
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut batch = WriteBatchWithTransaction::default();
        for (key, value) in entries {
            batch.put(key, value);
        }
        Ok(self.database.write_opt(batch, &self.write)?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.database.get_pinned_opt(key, &self.read)? {
            read(&value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        loop {
            let transaction = self.database.transaction_opt(&self.write, &OptimisticTransactionOptions::default());
            let mut value = transaction.get_for_update(key, true)?.unwrap_or_default();
            change(&mut value);
            transaction.put(key, value)?;
            match transaction.commit() {
                // A conflict: retry.
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::TryAgain) => {}
                done => return Ok(done?),
            }
        }
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let mut entries = self.database.raw_iterator_opt(ReadOptions::default());
        entries.seek(from);
        while let Some((key, value)) = entries.item() {
            if !read(key, value) {
                break;
            }
            entries.next();
        }
        Ok(entries.status()?)
    }
}

struct Kept<'a>(SnapshotWithThreadMode<'a, OptimisticTransactionDB>);

impl Snapshot for Kept<'_> {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.get_pinned(key)? {
            read(&value);
        }
        Ok(())
    }
}
