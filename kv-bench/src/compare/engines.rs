//! The engines that are compared, one file each. To add one, write its file and name it here: see [`Engine`](super::Engine).

mod hashbrown;
mod kv;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sqlite")]
mod sqlite;

use super::engine::Engine;

/// All engines of this build, ours first.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &kv::Kv,
        &hashbrown::Hashbrown,
        #[cfg(feature = "lmdb")]
        &lmdb::Lmdb,
        #[cfg(feature = "redis")]
        &redis::Redis,
        #[cfg(feature = "rocksdb")]
        &rocksdb::Rocksdb,
        #[cfg(feature = "sqlite")]
        &sqlite::Sqlite,
    ]
}

#[cfg(test)]
mod tests;
