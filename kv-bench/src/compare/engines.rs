//! The engines that are compared, one file each. To add one, write its file and name it here: see [`Engine`](super::Engine).

#[cfg(feature = "canopydb")]
mod canopydb;
#[cfg(feature = "fjall")]
mod fjall;
mod hashbrown;
mod kv;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "sled")]
mod sled;

use super::engine::Engine;

/// All engines of this build, ours first.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &kv::Kv,
        &hashbrown::Hashbrown,
        #[cfg(feature = "canopydb")]
        &canopydb::Canopydb,
        #[cfg(feature = "fjall")]
        &fjall::PLAIN,
        #[cfg(feature = "fjall")]
        &fjall::TRANSACTIONAL,
        #[cfg(feature = "redb")]
        &redb::Redb,
        #[cfg(feature = "sled")]
        &sled::Sled,
    ]
}

#[cfg(test)]
mod tests;
