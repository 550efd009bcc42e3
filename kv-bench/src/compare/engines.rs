//! The engines that are compared, one file each. To add one, write its file and name it here: see [`Engine`](super::Engine).

mod hashbrown;
mod kv;
#[cfg(feature = "redb")]
mod redb;

use super::engine::Engine;

/// All engines of this build, ours first.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &kv::Kv,
        &hashbrown::Hashbrown,
        #[cfg(feature = "redb")]
        &redb::Redb,
    ]
}

#[cfg(test)]
mod tests;
