//! The engines that are compared, one file each. To add one, write its file and name it here: see [`compare`](super).

mod btreemap;
#[cfg(feature = "canopydb")]
mod canopydb;
mod checkpointer;
mod entry;
#[cfg(feature = "fjall")]
mod fjall;
mod hashbrown;
mod kv;
#[cfg(feature = "lmdb")]
mod lmdb;
mod load_once;
mod log;
mod machine;
mod maps;
#[cfg(feature = "papaya")]
mod papaya;
mod parts;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sled")]
mod sled;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use checkpointer::CheckpointerAlone;
pub use log::LogAlone;

use super::engine::Engine;

/// All engines of this build: ours, the peers by their names, the parts, the ceilings, the limit.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &kv::Kv,
        #[cfg(feature = "canopydb")]
        &canopydb::Canopydb,
        #[cfg(feature = "fjall")]
        &fjall::PLAIN,
        #[cfg(feature = "fjall")]
        &fjall::TRANSACTIONAL,
        #[cfg(feature = "lmdb")]
        &lmdb::Lmdb,
        #[cfg(feature = "redb")]
        &redb::Redb,
        #[cfg(feature = "redis")]
        &redis::Redis,
        #[cfg(feature = "rocksdb")]
        &rocksdb::Rocksdb,
        #[cfg(feature = "sled")]
        &sled::Sled,
        #[cfg(feature = "sqlite")]
        &sqlite::Sqlite,
        &parts::LOG,
        &parts::CHECKPOINTER,
        &hashbrown::HASHBROWN,
        &btreemap::BTREEMAP,
        #[cfg(feature = "papaya")]
        &papaya::PAPAYA,
        &machine::Machine,
    ]
}

#[cfg(test)]
mod tests;
