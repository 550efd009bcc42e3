//! The cases of the suites, each named after the guarantee of [`Log`](kv_core::Log) that it checks.
//! Each takes a harness with a new medium, and panics if the guarantee is broken.

mod concurrency;
mod damage;
mod durability;
mod faults;
mod opening;
mod order;
mod power_cut;
mod reading;
mod refusal;
mod trimming;

pub use concurrency::*;
pub use damage::*;
pub use durability::*;
pub use faults::*;
pub use opening::*;
pub use order::*;
pub use power_cut::*;
pub use reading::*;
pub use refusal::*;
pub use trimming::*;
