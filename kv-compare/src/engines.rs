//! The engines that are compared, one file each. The [crate's documentation](crate) says how to add
//! one.

mod btreemap;
#[cfg(feature = "canopydb")]
mod canopydb;
#[cfg(feature = "emdb")]
mod emdb;
#[cfg(feature = "fjall")]
mod fjall;
mod hashbrown;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "mace")]
mod mace;
mod machine;
mod maps;
#[cfg(feature = "papaya")]
mod papaya;
#[cfg(feature = "redb")]
mod redb;
#[cfg(any(feature = "redis", feature = "valkey"))]
mod redis;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "scc")]
mod scc;
#[cfg(feature = "sled")]
mod sled;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "surrealmx")]
mod surrealmx;

use kv_bench::harness::{
    Engine,
    engines::{CHECKPOINTER, Kv, LOG},
};

/// All engines of this build, in this order: ours, the peers, our parts, the maps in memory, the
/// machine.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &Kv,
        #[cfg(feature = "canopydb")]
        &canopydb::Canopydb,
        #[cfg(feature = "emdb")]
        &emdb::Emdb,
        #[cfg(feature = "fjall")]
        &fjall::PLAIN,
        #[cfg(feature = "fjall")]
        &fjall::TRANSACTIONAL,
        #[cfg(feature = "lmdb")]
        &lmdb::Lmdb,
        #[cfg(feature = "mace")]
        &mace::Mace,
        #[cfg(feature = "redb")]
        &redb::Redb,
        #[cfg(feature = "redis")]
        &redis::REDIS,
        #[cfg(feature = "rocksdb")]
        &rocksdb::Rocksdb,
        #[cfg(feature = "sled")]
        &sled::Sled,
        #[cfg(feature = "sqlite")]
        &sqlite::Sqlite,
        #[cfg(feature = "surrealmx")]
        &surrealmx::Surrealmx,
        #[cfg(feature = "valkey")]
        &redis::VALKEY,
        &LOG,
        &CHECKPOINTER,
        &hashbrown::HASHBROWN,
        &btreemap::BTREEMAP,
        #[cfg(feature = "papaya")]
        &papaya::PAPAYA,
        #[cfg(feature = "scc")]
        &scc::SCC,
        &machine::Machine,
    ]
}

#[cfg(test)]
mod tests {
    use kv_bench::harness::{conformance, engine::Level};

    use super::*;

    #[test]
    fn every_engine_does_what_it_is_asked_for() {
        all().into_iter().try_for_each(conformance::check).unwrap();
    }

    /// If the settings name a package and its version, that version is compiled in.
    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = include_str!("../Cargo.lock");
        let mut named = 0;
        for engine in all() {
            let settings = engine.settings(Level::Disk);
            let words: Vec<_> = settings.split([' ', ',']).collect();
            for pair in words.windows(2) {
                let locked = locked_versions(lock, pair[0]);
                if !locked.is_empty() && pair[1].starts_with(|first: char| first.is_ascii_digit()) {
                    assert!(locked.iter().any(|locked| is_of(locked, pair[1])), "{settings}: {locked:?} in Cargo.lock");
                    named += 1;
                }
            }
        }
        assert!(named > 0, "no engine names its version");
    }

    fn locked_versions<'a>(lock: &'a str, package: &str) -> Vec<&'a str> {
        let name = format!("name = \"{package}\"\nversion = \"");
        lock.match_indices(&name).filter_map(|(at, _)| lock[at + name.len()..].split('"').next()).collect()
    }

    /// `0.17.1` is of `0.17`, and not of `0.1`.
    fn is_of(locked: &str, version: &str) -> bool {
        locked.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}
