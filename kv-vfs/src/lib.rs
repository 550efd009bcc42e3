//! The file layer of kv. kv-wal, kv-snapshot and kv-store reach files only through this crate.
//!
//! A [`Vfs`] is *one directory* with the operations on the files in it; a [`File`] is one open
//! file. Both traits are small, object-safe and synchronous, so that a test can replace the real
//! disk by a simulated one. [`OsVfs`] implements them on the operating system's files.
//!
//! The other types are about processes: a [`Lock`] keeps other owners out of a directory, an
//! [`Origin`] detects a child made by `fork`, and a [`Process`] can be looked up later to see
//! whether it still runs.
//!
//! A name is a single path component: a `Vfs` opens nothing outside its directory, and follows no
//! symbolic link. Each method states what its caller may assume after it returns, also after a
//! power cut. Assume nothing else: some disk will break the assumption.
//!
//! This crate knows nothing about logs, keys or formats, except for what all formats share: how a
//! file begins ([`preamble`]) and how integers are stored ([`little_endian`]). It uses kv-core only
//! to convert its [`Error`] to that of the engine.
//!
//! ```
//! use kv_vfs::{Access, OsVfs, Vfs};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! let vfs = OsVfs::create(directory.path().join("data"))?;
//! let file = vfs.create("greeting")?;
//! file.write_all_at(b"hello", 0)?;
//! file.sync_data()?; // the bytes survive a power cut ...
//! vfs.sync_directory()?; // ... and now so does the name
//!
//! let again = vfs.open("greeting", Access::Read)?;
//! assert_eq!(&again.map()?[..], b"hello");
//! # Ok::<(), kv_vfs::Error>(())
//! ```

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it maps whole files");

mod error;
mod file;
mod fork;
mod in_place;
pub mod little_endian;
mod lock;
mod map;
mod os;
mod place;
pub mod preamble;
mod process;
mod vfs;

pub use error::{Error, Result, is_unreadable};
pub use file::{File, FileId};
pub use fork::Origin;
pub use lock::Lock;
pub use os::{COPIED_BYTES_MAX, OsVfs};
pub use process::Process;
pub use vfs::{Access, Space, Vfs};

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
