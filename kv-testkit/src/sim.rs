//! A disk in memory that does what disks and file systems may do: a [`SimDisk`].
//!
//! A crash is a *value*: [`SimDisk::crash`] gives the disk after a crash in one of the states that are legal then, while the original goes on.
//! So a crash test is a loop, and [`Exploration`] is that loop: for each moment of a recorded workload, for each state that a crash may leave, open
//! and look.
//!
//! # Test your own storage code
//!
//! It has to do its file operations through a [`Vfs`](kv_vfs::Vfs); that is all that it needs to know of kv. Run a workload on a recorded disk, and
//! note with [`SimDisk::operations`] when something was acknowledged. Then compare what each crash leaves with what was acknowledged before it.
//!
//! ```
//! use std::io::ErrorKind;
//! use kv_testkit::sim::{CrashModel, Exploration, SimDisk};
//! use kv_vfs::{Access, Vfs};
//!
//! /// Replaces the number that is kept in a file.
//! fn save(vfs: &dyn Vfs, number: u64) -> kv_vfs::Result<()> {
//!     match vfs.remove("number.tmp") {
//!         Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
//!         _ => {} // a crash may have left one
//!     }
//!     let file = vfs.create("number.tmp")?;
//!     file.write_all_at(&number.to_le_bytes(), 0)?;
//!     file.sync_data()?;
//!     vfs.rename("number.tmp", "number")?;
//!     vfs.sync_directory()
//! }
//!
//! fn load(vfs: &dyn Vfs) -> kv_vfs::Result<u64> {
//!     let file = match vfs.open("number", Access::Read) {
//!         Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
//!         opened => opened?,
//!     };
//!     let mut bytes = [0; 8];
//!     file.read_exact_at(&mut bytes, 0)?;
//!     Ok(u64::from_le_bytes(bytes))
//! }
//!
//! let disk = SimDisk::new(1);
//! disk.record();
//! let mut saved = Vec::new();
//! for number in 1..=5 {
//!     save(&*disk.vfs(), number)?;
//!     saved.push(disk.operations());
//! }
//!
//! let exploration = Exploration::from_env(10_000);
//! let count = exploration.run("number", &disk.take_recording(), &CrashModel::ALL, &|moment, _choice, left| {
//!     let acknowledged = saved.iter().filter(|at| **at <= moment.operation).count() as u64;
//!     let found = load(&*left.vfs()).expect("a crash locks nobody out");
//!     assert!(found >= acknowledged, "{acknowledged} was saved, and {found} is there");
//!     assert!(found <= acknowledged + 1, "{found} was never saved");
//!     save(&*left.vfs(), found + 1).expect("it goes on after a crash");
//! });
//! println!("{count}");
//! # assert_eq!(count.sampled, 0);
//! # Ok::<(), kv_vfs::Error>(())
//! ```
//!
//! Without the sync of the file, this says
//!
//! ```text
//! 2 was saved, and 0 is there
//! at src/number.rs:46:5
//! in the state KV_CRASH_SEED=0 KV_CRASH_REPLAY='number@8:ext4:except:0'
//! (at the end; lost: sector 0 of number; found as ext4:numbered:0)
//! ```
//!
//! which names the moment by the number of the operation that would have come next, the kind of file system, and what it lost: the first of the
//! *units* that were not synced. Before it is printed, a failure is shrunk: as little is lost or torn as makes it fail in the same line.
//! With that line in its environment, the test looks at this state alone, and panics in the ordinary way, with a backtrace. `KV_CRASH_STATES` and
//! `KV_CRASH_SEED` set how much is looked at and what the rest of it is. [`Exploration`] says which states these are.
//!
//! Then crash again while the code recovers ([`Exploration::again`]), let operations fail (below), and last break the code on purpose, or the disk
//! ([`SimDisk::lie`]), to see that the test notices.
//!
//! # What survives a power cut
//!
//! By the model; "in order" is the order in which a journal commits it. What ext4 and XFS do was measured, by cutting off the writes to a device under
//! them; what POSIX promises is hardly more than nothing.
//!
//! | not synced | [ext4](CrashModel::Ext4) | [XFS](CrashModel::Xfs) | [POSIX](CrashModel::Posix) |
//! |---|---|---|---|
//! | created, renamed, removed names; a length that was set | in order, up to some point | the same | each for itself; a rename whole or not at all |
//! | written sectors | each for itself; one that was written again is as it was at some time | the same | each write for itself, whole, torn, or not at all |
//! | the length that a write gave | up to the last sector that survives | the same | as after any of the writes |
//! | the same, of a file that was then renamed over another | with the rename, with zeroes where no sector survives | as above | as above |
//!
//! With ext4 and XFS, syncing a directory whose names have changed, or a file that is new or got another length, makes all names and lengths durable;
//! under POSIX only its own. A [killed process](CrashModel::Killed) loses nothing: the kernel has it.
//!
//! So these are the orders that survive, and each of the others is found out by a crash here: a file is synced before it is renamed, a rename is
//! durable after its directory is synced, a new file after both, and no length or zero proves that anything was written.
//!
//! # What else happens
//!
//! [`fail`](SimDisk::fail) takes [faults](crate::vfs::Fault), at the n-th operation or by path and kind, once or for ever: errors of any kind; short, empty
//! and torn writes; an allocation that fails and leaves the file longer; the sync that fails, forgets, and then succeeds; the sync that lies; what is read
//! damaged on the way. [`limit_space`](SimDisk::limit_space) fills the disk, so that a write takes what there is space for, and the next one nothing.
//! [`damage`](SimDisk::damage) lets it rot: bits flip, sectors are zeroed, swapped, [stale](SimDisk::stale_sector) or
//! [misdirected](SimDisk::misdirected_sector). [`stop_at`](SimDisk::stop_at) ends the process at any operation.
//!
//! # Traces
//!
//! [`take_trace`](SimDisk::take_trace) tells every operation that changed the disk, a line each, as in `write log/a 4096+512`, `rename a.tmp a`, `sync
//! directory log`. Compared with a text that is kept, it shows a write or a sync that is missing or too many.
//!
//! # Where this comes from
//!
//! To take the file operations of a run and ask what each crash could leave of them is the idea of ALICE (Pillai and others, OSDI 2014); to do so
//! exhaustively within bounds, and after every operation, that of CrashMonkey and ACE (Mohan and others, OSDI 2018); that everything random follows from a
//! seed, and that faults are injected below the code as it is, that of FoundationDB's simulation; that a crash is a clone of the file system, that of
//! Pebble's `vfs`.

mod at_rest;
mod choice;
mod content;
mod crash;
mod damage;
mod disk;
mod execution;
mod explore;
mod fingerprint;
mod operate;
mod outcomes;
mod remains;
mod sector;
mod state;
mod units;
mod vfs;

pub use choice::{CrashChoice, CrashModel, LostUnit, Survivors};
pub use damage::Damage;
pub use disk::{Moment, SimDisk};
pub use explore::{Count, Exploration};
pub use remains::Remains;
