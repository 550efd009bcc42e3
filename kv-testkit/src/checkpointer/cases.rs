//! The cases of the suites, each named after the guarantee of
//! [`Checkpointer`](kv_core::Checkpointer) that it checks. Each takes a harness with a new medium,
//! and panics if the guarantee is broken.

mod concurrency;
mod damage;
mod durability;
mod failure;
mod identity;
mod maintenance;
mod removal;
mod state;

pub use concurrency::*;
pub use damage::*;
pub use durability::*;
pub use failure::*;
pub use identity::*;
pub use maintenance::*;
pub use removal::*;
pub use state::*;
