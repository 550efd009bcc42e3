//! What it takes to test a kv backend: of ours, or your own.
//!
//! - [`log`] and [`checkpointer`]: suites that say whether a [`Log`](kv_core::Log) or [`Checkpointer`](kv_core::Checkpointer) keeps the
//!   numbered guarantees of its trait, with opening again, killed processes, failed I/O and threads in them;
//! - [`harness`]: what a suite needs to know of a backend, made from nothing but what opens it;
//! - [`vfs::TestVfs`]: a file layer that notes what is done, fails where it is told to, and can be halted and copied;
//! - [`linearizability`]: whether what several threads saw of a store can have happened in some order;
//! - [`sim::SimDisk`]: a disk in memory that crashes in every way that file systems may, fails, lies, fills up and rots; and
//!   [`sim::Exploration`], which goes through the states that crashes leave of a workload. [Their guide](sim) shows how to test any code that keeps
//!   files;
//! - [`ManualScheduler`]: background work that runs when the test says so;
//! - [`recoverable`]: what an opening would make of a disk as it is at some moment;
//! - [`Model`]: what a store has to hold, as a map of maps, and [`store`]: comparing the two, step by step.
//!
//! # Test your own backend in ten lines
//!
//! Say how the log is opened in a directory. Each line of the rest makes one named `#[test]` for
//! each case of a guarantee. The log runs on a [simulated disk](sim), which loses power, fails,
//! fills up and rots.
//!
//! ```
//! # mod my_crate { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/flawed_log/in_files.rs")); }
//! # use my_crate::FileLog as MyLog;
//! use kv_testkit::harness::{OnDisk, on_disk};
//!
//! fn disk() -> OnDisk<MyLog> {
//!     on_disk(|vfs| MyLog::open(&*vfs)) // a `kv_core::Log`, kept in the files of a `kv_vfs::Vfs`; both re-exported here
//! }
//!
//! kv_testkit::log_suite!(my_log, disk);
//! kv_testkit::log_power_cut_suite!(power_cuts, disk);
//! kv_testkit::log_fault_suite!(faults, disk);
//! kv_testkit::log_space_suite!(full_disks, disk);
//! kv_testkit::log_damage_suite!(damage, disk);
//! kv_testkit::log_power_cut_damage_suite!(damage_after_power_cuts, disk);
//! # kv_testkit::log::cases::l7_begins_ahead_of_what_is_durable(&mut disk());
//! # kv_testkit::log::cases::l3_synced_survives_power_cut(&mut disk());
//! # kv_testkit::log::cases::l6_first_failure_is_final(&mut disk());
//! # kv_testkit::log::cases::l5_full_medium_refuses_until_there_is_space(&mut disk());
//! # kv_testkit::log::cases::l14_torn_tail_is_cut_and_reported(&mut disk());
//! ```
//!
//! A checkpointer enrols in the same way, with [`checkpointer_suite!`] and its like.
//!
//! # On another medium
//!
//! [`harness::in_directory`] runs the same on files of the operating system, and
//! [`harness::in_memory`] on what kv-core's own backends are kept on. For any other medium,
//! implement the harness traits: how the backend is opened, and what a killed process would leave.
//!
//! ```
//! use std::sync::Arc;
//! use kv_testkit::kv_core::{Crash, Log, MemoryLog, MemoryLogMedium, Result};
//! use kv_testkit::log::LogHarness;
//!
//! #[derive(Default)]
//! struct Service { medium: MemoryLogMedium } // a connection, a device ...
//!
//! impl LogHarness for Service {
//!     fn open(&mut self) -> Result<Arc<dyn Log>> {
//!         Ok(Arc::new(MemoryLog::open(&self.medium)?))
//!     }
//!
//!     fn kill(&mut self) {
//!         self.medium = self.medium.after(Crash::Killed);
//!     }
//! }
//!
//! kv_testkit::log_suite!(my_log, Service::default);
//! # kv_testkit::log::cases::l1_dense_positions(&mut Service::default());
//! ```
//!
//! What else the medium can do has a trait of its own, such as [`log::LogPowerCut`], and a suite: a
//! suite that is added later needs nothing of a harness that does not enrol in it.
//!
//! A suite can be trusted as far as it finds what is broken: this crate's own tests run its cases over logs and checkpointers with one
//! deliberate flaw each, and fail unless every flaw is found.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

pub mod checkpointer;
mod enrol;
pub mod fork;
pub mod harness;
pub mod linearizability;
pub mod log;
mod model;
#[cfg(loom)]
pub mod orders;
mod recoverable;
mod scheduler;
pub mod sim;
pub mod store;
mod threads;
pub mod vfs;

// What a backend is made of, so that this crate is enough to write and test one.
pub use {kv_core, kv_vfs};

pub use model::{Model, Operation, Outcome};
pub use recoverable::{Recovered, recoverable};
pub use scheduler::ManualScheduler;

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
