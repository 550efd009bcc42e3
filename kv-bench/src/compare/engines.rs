//! The engines that are compared, one file each. To add one, write its file and name it here: see [`Engine`](super::Engine).

mod btreemap;
mod checkpointer;
mod entry;
mod hashbrown;
mod kv;
mod load_once;
mod log;
mod machine;
mod maps;
#[cfg(feature = "papaya")]
mod papaya;
mod parts;

pub use checkpointer::CheckpointerAlone;
pub use log::LogAlone;

use super::engine::Engine;

/// All engines of this build, ours first.
pub fn all() -> Vec<&'static dyn Engine> {
    vec![
        &kv::Kv,
        &hashbrown::HASHBROWN,
        &btreemap::BTREEMAP,
        #[cfg(feature = "papaya")]
        &papaya::PAPAYA,
        &parts::LOG,
        &parts::CHECKPOINTER,
        &machine::Machine,
    ]
}

#[cfg(test)]
mod tests;
