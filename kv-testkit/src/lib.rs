//! Everything needed to test a kv backend, whether ours or your own.
//!
//! - [`log`] and [`checkpointer`]: suites that check whether a [`Log`](kv_core::Log) or a
//!   [`Checkpointer`](kv_core::Checkpointer) keeps the numbered guarantees of its trait. They
//!   reopen, kill processes, inject I/O failures and run threads.
//! - [`harness`]: what a suite needs to know about a backend, built from the function that opens
//!   it.
//! - [`vfs::TestVfs`]: a file layer that records operations, fails on demand, and can be paused and
//!   copied.
//! - [`linearizability`]: checks whether what several threads saw of a store is consistent with
//!   some sequential order.
//! - [`sim::SimDisk`]: a disk in memory that fails, lies, fills up and rots, and that crashes into
//!   the states that real file systems may leave. [`sim::Exploration`] tries the states that
//!   crashes of a workload may leave. [Their guide](sim) shows how to test any code that keeps
//!   files.
//! - [`ManualScheduler`]: runs background jobs only when the test says so.
//! - [`recoverable`]: the state that an opening would recover from a disk at a given moment.
//! - [`stack_model`]: a small model of log, checkpoints, damage and recovery, explored in full.
//! - [`fork`]: runs code in a child made by `fork`.
//! - [`kernel`]: what the kernel says about this process: its maps, files and writes.
//! - [`Model`]: what a store must hold, as a map of maps; [`store`] compares the two step by step.
//!
//! # Test your own backend in ten lines
//!
//! Say how the log is opened in a directory. Each of the other lines makes one named `#[test]` per
//! case of a suite. The log runs on a [simulated disk](sim), which loses power, fails, fills up and
//! rots.
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
//! A checkpointer enrols in the same way, with [`checkpointer_suite!`] and its siblings.
//!
//! # On another medium
//!
//! [`harness::in_directory`] runs the same suites on files of the operating system, and
//! [`harness::in_memory`] on the media of kv-core's own backends. For any other medium, implement
//! the harness traits: how the backend is opened, and what a killed process leaves.
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
//! Each further ability of a medium has its own trait, such as [`log::LogPowerCut`], and its own
//! suite. A suite that is added later requires nothing from a harness that does not enrol in it.
//!
//! A suite is only as good as the bugs it finds. This crate's own tests run the cases over logs and
//! checkpointers with one deliberate flaw each, and fail unless every flaw is found.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod checkpointer;
mod enrol;
pub mod fork;
pub mod harness;
#[cfg(loom)]
pub mod interleavings;
pub mod kernel;
pub mod linearizability;
pub mod log;
mod model;
mod recoverable;
mod scheduler;
pub mod sim;
pub mod stack_model;
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
