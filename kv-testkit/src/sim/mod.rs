//! A disk in memory that does what disks and file systems may do: a [`SimDisk`].
//!
//! A crash is a *value*: [`SimDisk::crash`] gives the disk after a crash in one of the states that are legal then, while the original goes on.
//! [`SimDisk::crash_states`] counts these states, or the most telling of them. So a crash test is a loop, and [`Exploration`] is that loop:
//! for each moment of a recorded workload, for each state that a crash may leave, open and look.
//!
//! ```
//! use kv_testkit::sim::{CrashModel, SimDisk};
//! use kv_vfs::{Access, Vfs};
//!
//! let disk = SimDisk::new(1);
//! let file = disk.vfs().create("a")?;
//! disk.vfs().sync_directory()?;
//! file.write_all_at(b"hello", 0)?;
//!
//! let mut found = Vec::new();
//! for choice in disk.crash_states(CrashModel::Posix, 1000, 0) {
//!     let left = disk.crash(&choice);
//!     found.push(left.vfs().open("a", Access::Read)?.map()?);
//! }
//! assert!(found.contains(&"hello".into())); // all of it survives,
//! assert!(found.contains(&"".into())); // or nothing,
//! assert!(found.contains(&vec![0; 5].into())); // or only the length
//! # Ok::<(), kv_vfs::Error>(())
//! ```
//!
//! # What survives a power cut
//!
//! By the model; "in order" is the order in which a journal commits it.
//!
//! | not synced | [ext4](CrashModel::Ext4) | [XFS](CrashModel::Xfs) | [POSIX](CrashModel::Posix) |
//! |---|---|---|---|
//! | created, renamed, removed names; a length that was set | in order, up to some point | the same | each for itself; a rename whole or not at all |
//! | written sectors | each for itself; one that was written again is as it was at some time | the same | each write for itself, whole, torn, or not at all |
//! | the length that a write gave | up to the last sector that survives | the same | as after any of the writes |
//! | the same, of a file that was then renamed over another | with the rename, with zeroes where no sector survives | as above | as above |
//!
//! With ext4 and XFS, syncing a directory whose names have changed, or a file that is new or got another length, makes all names and lengths durable;
//! under POSIX only its own.
//!
//! # What else happens
//!
//! [`fail`](SimDisk::fail) takes [faults](crate::vfs::Fault): errors of any kind at the n-th operation or by path and kind, once or for ever; short and torn
//! writes; the sync that fails, forgets, and then succeeds; the sync that lies. [`limit_space`](SimDisk::limit_space) fills the disk, [`damage`](SimDisk::damage)
//! lets it rot, [`stop_at`](SimDisk::stop_at) ends the process at any operation.

mod atoms;
mod choice;
mod content;
mod crash;
mod damage;
mod disk;
mod explore;
mod fates;
mod fingerprint;
mod operate;
mod state;
mod vfs;

pub use choice::{CrashChoice, CrashModel, Loss, Pick};
pub use damage::Damage;
pub use disk::{Moment, SimDisk};
pub use explore::{Count, Exploration};
