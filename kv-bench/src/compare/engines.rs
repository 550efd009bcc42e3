//! The engines that are compared, one file each. To add one, write its file and name it here: see [`Engine`](super::Engine).

mod btreemap;
mod hashbrown;
mod kv;
mod maps;
#[cfg(feature = "papaya")]
mod papaya;

use super::engine::Engine;

/// All engines of this build, ours first.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &kv::Kv,
        &hashbrown::HASHBROWN,
        &btreemap::BTREEMAP,
        #[cfg(feature = "papaya")]
        &papaya::PAPAYA,
    ]
}

#[cfg(test)]
mod tests;
