//! A durable, segmented, group-committing log of opaque records.
//!
//! [`SegmentedLog`] implements [`kv_core::Log`], whose numbered guarantees are its contract. It
//! numbers records densely from 1 and says when they are durable. A record may hold any bytes: the
//! log knows nothing of keys or collections, and can be used alone:
//!
//! ```
//! use kv_wal::{Durability, Log, Lsn, Options, OsVfs, SegmentedLog};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! let vfs = OsVfs::create(directory.path().join("log"))?;
//! let log = SegmentedLog::open(vfs, Options::default())?;
//!
//! let first = log.append(b"one", Durability::Disk)?;
//! let second = log.append(b"two", Durability::Disk)?;
//! log.sync(second)?; // one flush for both records, and for every other thread that waits
//!
//! let mut reader = log.reader(Lsn::START)?;
//! while let Some(record) = reader.next()? {
//!     println!("{}: {:?}", record.lsn, record.payload);
//! }
//! log.trim(first)?; // the log may now forget the first record
//! log.close()?; // optional: a killed process loses nothing that was synced
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A record's number is its *position*. The type is [`Lsn`], for log sequence number.
//!
//! # Files
//!
//! | name | |
//! |---|---|
//! | `0000000000000001.wal`, … | segments, numbered in hexadecimal in the order of their creation |
//! | `MARK` | the acknowledgement mark: the last acknowledged durable position and the epoch, in two slots |
//! | `LOCK` | locked while the log is open; never removed |
//! | `segment.tmp` | a segment, or a copy of the mark, that is still being prepared; ignored by recovery |
//!
//! The log ignores all other names.
//!
//! A new segment gets its full size, all zeroes, and is synced, then renamed, and then the
//! directory is synced. Only after that does the log write records to it. No segment is used twice.
//!
//! The log keeps one *spare* ready: the preallocated next segment, so that an append does not wait
//! for space. A background job prepares it, from the first append on. Opening and reading an
//! existing log writes to no file.
//!
//! # Format
//!
//! ```text
//! block 0    header: magic, checksum, version, features, log, number, the segment's random identity, length; then zeroes
//! block 1    start ─ record ─ record ─ … ─ padding │      a flush ends with padding at a block's boundary,
//! block 2    record ─ … ─ padding                  │      so no block that holds a flushed byte is written again
//! …          seal ─ padding                        │      written by a clean close
//! …          epoch ─ padding                       │      begins what a later opening writes behind a seal
//! …          record ─ …
//!            zeroes
//!
//! frame      kind, flags, epoch, length, position, watermark, checksum │ payload, zeroes to 8 bytes │ checksum
//! ```
//!
//! The sources in `format/` describe each field: `segment.rs` (the header), `frame.rs`, `mark.rs`
//! and `names.rs`. The output of [`dump`] shows examples. Recovery relies on four of the fields:
//!
//! - Every checksum is seeded with the **identity** of its segment. So old bytes, bytes of another
//!   log, and bytes that a user stored in a record never pass for a frame.
//! - The **start frame** names the segment's predecessor and the offset at which the log leaves it.
//!   Anything that the predecessor holds beyond that offset is void for ever, and so is every
//!   segment between the two. This is how a torn tail is truncated without rewriting a block.
//! - The **watermark** of a frame is the highest position that was durable when the frame was
//!   handed to the kernel. So a later frame proves which earlier records must be there.
//! - The **epoch** tells one opening from another. Before an opening writes its first frame, it
//!   writes its epoch to both slots of the mark and syncs the mark. So there is always something on
//!   the disk that overrules an older seal, even if every frame behind that seal was lost. A frame
//!   is valid only if its epoch is the one in force where the frame lies.
//!
//! # Recovery
//!
//! 1. Read each segment's header and start frame, and the mark. A header that is not valid is
//!    damage: it was synced before the file got its name. A mark that cannot be read proves
//!    nothing, whatever the reason. Follow the links from the highest valid start frame back
//!    through its predecessors: these are the *live segments*. The segments before them were
//!    trimmed; those between them are void. A missing segment above the last live one is damage.
//! 2. If the live segments end in a seal, read the seal again from the disk rather than from the
//!    page cache. If the mark names the seal's epoch and no later one, the log ends there; recovery
//!    only checks that the next 256 KiB behind the seal, and the first 256 KiB of each later
//!    segment, are unused. If no slot of the mark names that epoch or a later one, the whole rest
//!    of the log must be unused. A seal that does not count is not an error: recovery goes on with
//!    step 3.
//! 3. Sync every segment, drop it from the page cache, and read everything again. A failed flush
//!    may have left a start frame that is only in memory.
//! 4. Read the frames of each live segment that may hold a record above the highest position that a
//!    start frame proves durable, oldest segment first. Stop at the first frame that is bad or
//!    missing. Let n be the position that is missing there.
//! 5. **Only proof makes the opening fail.** If the mark or any valid frame beyond that place
//!    states a durable position of n or more, a durable record is lost. Opening fails with
//!    [`Corrupt`](kv_core::Error::Corrupt), which names the place and what is missing, and changes
//!    nothing.
//! 6. Otherwise the rest is a torn tail, and no record in it was acknowledged as durable. Recovery
//!    [reports](LogRecovery::torn) it. The next write goes to a new segment, whose start frame
//!    makes the truncation durable before anything is acknowledged.
//!
//! Everything that recovery finds is durable, so readers may return it at once.
//!
//! **What recovery cannot see.** After a *power cut* it cannot tell damage to the last flushed
//! group from a torn tail: no later frame states the group's positions, and the mark, which is
//! written without a sync, may not have reached the disk. After a *killed process* the mark is
//! exact for everything that the process acknowledged, so there is no such window. Records that
//! recovery finds above the mark are durable, but no mark states them until the first `sync` or
//! append of that opening.
//!
//! # What is assumed about disks
//!
//! The section of that name in `docs/durability.md` lists the assumptions. The format relies on two
//! of them in particular: writing one block does not disturb another, and after a failed flush
//! nothing is known about what was written. So the first failed write or flush of a segment in use,
//! of the mark, or of the directory is final. The identities of segments also rely on random
//! numbers that do not repeat.
//!
//! # Inspecting a log
//!
//! [`verify`] reads everything and lists all damage, even in a log that refuses to open. [`dump`]
//! prints a log frame by frame. [`is_blank`] says whether nothing was ever written. None of them
//! changes anything.

#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds file sizes in `usize`");

// `format` defines the bytes. `open` opens or creates a log, and calls `recovery`, which decides
// which records it holds. `log` is the public type, over `write` (appends, flushes, spares, trims)
// and `reader`. `follower` reads what another opening writes. `segment_file` and `mark_file` do the
// I/O of single files.
mod dump;
mod error;
mod filling;
mod follower;
mod format;
mod log;
mod mark_file;
mod open;
mod options;
mod reader;
mod recovery;
mod segment_file;
mod sync;
mod write;

// Re-exported so that a user of the log needs no other crate.
pub use kv_core::{Bounds, Durability, Epoch, Error, Log, LogId, LogReader, Lsn, Place, Record, Result};
pub use kv_vfs::{OsVfs, Vfs};

pub use dump::dump;
pub use follower::LogFollower;
pub use log::SegmentedLog;
pub use options::Options;
pub use recovery::{LogRecovery, TornTail, is_blank, verify};

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
