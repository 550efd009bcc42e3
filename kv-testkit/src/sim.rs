//! [`SimDisk`]: a disk in memory that crashes, fails and damages data as real disks and file
//! systems may.
//!
//! A crash is a *value*: [`SimDisk::crash`] returns the disk after a crash, in one of the states
//! that are legal at that instant, while the original disk carries on. A crash test is therefore a
//! loop, and [`Exploration`] is that loop: for each moment of a recorded workload, and for each
//! state that a crash may leave, it opens the disk and checks it.
//!
//! # Test your own storage code
//!
//! The code must do its file operations through a [`Vfs`](kv_vfs::Vfs); it needs to know nothing
//! else of kv. Run a workload on a recorded disk, and use [`SimDisk::operations`] to note when each
//! write was acknowledged. Then compare what each crash leaves with what was acknowledged before
//! it.
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
//!     let found = load(&*left.vfs()).expect("the file can be read after a crash");
//!     assert!(found >= acknowledged, "{acknowledged} was saved, and {found} is there");
//!     assert!(found <= acknowledged + 1, "{found} was never saved");
//!     save(&*left.vfs(), found + 1).expect("saving works after a crash");
//! });
//! println!("{count}");
//! # assert_eq!(count.sampled, 0);
//! # Ok::<(), kv_vfs::Error>(())
//! ```
//!
//! Without the sync of the file, this fails with
//!
//! ```text
//! 2 was saved, and 0 is there
//! at src/number.rs:46:5
//! in the state KV_CRASH_SEED=0 KV_CRASH_REPLAY='number@8:ext4:except:0'
//! (at the end; lost: sector 0 of number; found as ext4:numbered:0)
//! ```
//!
//! `KV_CRASH_REPLAY` names the moment (by the number of the operation that would have come next),
//! the kind of file system, and what was lost: here the first *persistence unit* that was not
//! synced. Before a failure is printed, its state is shrunk: it loses and tears as little as
//! possible, and still fails at the same line of code. Run the test with the two variables in its
//! environment, and it checks this one state and panics in the ordinary way, with a backtrace.
//! `KV_CRASH_STATES` and `KV_CRASH_SEED` set how many states are checked, and which ones are
//! sampled. [`Exploration`] says how states are chosen.
//!
//! Next, crash again while the code recovers ([`Exploration::again`]) and inject failures (below).
//! Finally, break the code or the disk ([`SimDisk::lie`]) on purpose, to see that the test notices.
//!
//! # What survives a power cut
//!
//! What survives depends on the model. "In order" means the order in which a journal commits. The
//! behaviour of ext4 and XFS was measured by cutting off the writes to a device beneath them; POSIX
//! promises almost nothing.
//!
//! | not synced | [ext4](CrashModel::Ext4) | [XFS](CrashModel::Xfs) | [POSIX](CrashModel::Posix) |
//! |---|---|---|---|
//! | created, renamed, removed names; a length that was set | in order, up to some point | the same | each independently; a rename entirely or not at all |
//! | written sectors | each independently; one that was written again holds some version of it | the same | each write independently: whole, torn or not at all |
//! | the length that a write set | up to the last sector that survives | the same | as after any of the writes |
//! | the same, if the file was then renamed over another | with the rename; zeroes where no sector survives | as above | as above |
//!
//! With ext4 and XFS, syncing a directory whose names have changed, or a file that is new or
//! changed its length, makes all names and lengths durable. Under POSIX it covers only the synced
//! file or directory. A [killed process](CrashModel::Killed) loses nothing, because the kernel has
//! everything.
//!
//! So code must sync a file before it renames it, sync the directory before it relies on the
//! rename, sync both before it relies on a new file, and must never take a length or zeroes as
//! proof that something was written. A crash here finds each violation.
//!
//! # What else happens
//!
//! [`fail`](SimDisk::fail) adds [faults](crate::vfs::Fault), at the n-th operation or by path and
//! kind, once or for ever: errors of any kind; short, empty and torn writes; a failed allocation
//! that leaves the file longer; a sync that fails, drops the data and then succeeds; a sync that
//! lies; damage to data as it is read. [`limit_space`](SimDisk::limit_space) fills the disk: a
//! write takes as much as fits, and the next one nothing. [`damage`](SimDisk::damage) makes the
//! disk rot: bits flip, and sectors are zeroed, swapped, [stale](SimDisk::stale_sector) or
//! [misdirected](SimDisk::misdirected_sector). [`stop_at`](SimDisk::stop_at) ends the process at
//! any operation.
//!
//! # Traces
//!
//! [`take_trace`](SimDisk::take_trace) returns every operation that changed the disk, one line
//! each: `write log/a 4096+512`, `rename a.tmp a`, `sync directory log`. A comparison with a stored
//! trace shows each write or sync that is missing or superfluous.
//!
//! # Where this comes from
//!
//! Recording the file operations of a run, and asking what each crash could leave of them, is the
//! idea of ALICE (Pillai and others, OSDI 2014). Doing so exhaustively within bounds, after every
//! operation, comes from CrashMonkey and ACE (Mohan and others, OSDI 2018). Deriving all randomness
//! from a seed, and injecting faults below unmodified code, comes from FoundationDB's simulation. A
//! crash that is a clone of the file system comes from Pebble's `vfs`.

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
