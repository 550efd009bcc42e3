//! A durable, segmented, group-committing log of opaque records.
//!
//! [`SegmentedLog`] implements [`kv_core::Log`], whose numbered guarantees are its contract. It keeps records of any bytes, numbers
//! them densely from 1, and says when they are durable. It knows nothing of keys or collections, and can be used alone:
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
//! log.sync(second)?; // one flush for both, and for whatever other threads wait for
//!
//! let mut reader = log.reader(Lsn::START)?;
//! while let Some(record) = reader.next()? {
//!     println!("{}: {:?}", record.lsn, record.payload);
//! }
//! log.trim(first)?; // the log may forget the first record now
//! log.close()?; // or be killed: nothing that was synced is lost
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files
//!
//! | name | |
//! |---|---|
//! | `0000000000000001.wal`, … | segments, numbered in hexadecimal in the order in which they were created |
//! | `MARK` | the acknowledgement mark: the last durable position that was acknowledged, and the epoch, in two slots |
//! | `LOCK` | locked while the log is open; never removed |
//! | `segment.tmp` | a segment, or a copy of the mark, that is being prepared; does not count |
//!
//! Other names are left alone. A segment is filled with zeroes and synced, renamed, and its
//! directory synced before a record is written to it; it is never used twice. One is always ready
//! ahead of need, so that an append need not wait for space. It is prepared in the background, and
//! only after the first append: opening an existing log and reading it write no file.
//!
//! # Format
//!
//! ```text
//! block 0    header: magic, checksum, version, features, log, number, the segment's random identity, length; then zeroes
//! block 1    start ─ record ─ record ─ … ─ padding │      a flush ends with padding at a block's boundary,
//! block 2    record ─ … ─ padding                  │      so no block that holds a flushed byte is written again
//! …          seal ─ padding                        │      left by a clean close
//! …          epoch ─ padding                       │      begins what a later opening writes behind a seal
//! …          record ─ …
//!            zeroes
//!
//! frame      kind, flags, epoch, length, position, watermark, checksum │ payload, zeroes to 8 bytes │ checksum
//! ```
//!
//! Fields and their places are described in the sources that own them: `segment.rs` (the header),
//! `frame.rs`, `mark.rs`, and `names.rs`. Four of them carry the argument:
//!
//! - every checksum is seeded with the **identity** of its segment, so that nothing old, foreign or
//!   stored by a user passes for a frame;
//! - the **start frame** names the segment's predecessor and where in it the log continues. What
//!   the predecessor holds beyond, and every segment between the two, is void for ever: so a torn
//!   tail is cut without rewriting anything;
//! - the **watermark** of a frame is the highest durable position when the frame was handed to the
//!   kernel: so what was written later proves what must be there;
//! - the **epoch** tells openings apart. An opening that writes puts its epoch into both slots of
//!   the mark, and syncs that, before its first frame leaves. So a seal of an earlier epoch is
//!   known to be overtaken by something that is there, whatever became of the frames behind it. A
//!   frame counts only in the epoch in force where it lies.
//!
//! # Recovery
//!
//! 1. Read each segment's header and start frame, and the mark. A header that is not valid is
//!    damage: it was synced before the file had its name. A mark that cannot be read says nothing,
//!    whatever the reason. Follow the links back from the highest valid start frame: these segments
//!    are live. What lies before them was trimmed, what lies between is void. A segment that is
//!    missing behind them is damage.
//! 2. If the live segments end in a seal, read from the disk and not from memory, and the mark
//!    names the seal's epoch and no later one, that is all, but for a look at the 256 KiB behind
//!    the seal. If no slot names that epoch or a later one, the whole rest of the log must be
//!    unused. A seal that does not count refuses nothing.
//! 3. Otherwise sync every segment, drop it from the page cache, and begin again: a flush that
//!    failed may have left a start frame in memory only.
//! 4. Go through the frames of each live segment that may hold something above the highest position
//!    that a start frame proves durable, oldest first, up to the first frame that is bad or
//!    missing, of position n.
//! 5. **Only proof refuses.** If the mark, or any valid frame beyond that place, states a durable
//!    position of n or more, something durable is lost: [`Corrupt`](kv_core::Error::Corrupt) names
//!    the place and what is missing, and nothing is changed.
//! 6. Otherwise it is a torn tail, which no acknowledged record is in: it is
//!    [reported](Recovery::torn), and the next write goes to a new segment, whose start frame makes
//!    the cut durable before anything is acknowledged.
//!
//! What was found is durable, and so can be read at once.
//!
//! What cannot be seen: after a *power cut*, damage to the records of the very last flush, when
//! nothing that was written later states their position and the mark, which is written without a
//! sync, did not reach the disk. They look torn. After a *killed process* the mark is exact for all
//! that this process acknowledged, and this window is closed. What recovery finds above the mark is
//! durable, but no mark states it before the first `sync` or append of that opening.
//!
//! # What the disk is assumed to do
//!
//! 1. What `sync_data` returned for survives a power cut; what was not synced may survive in any part, in any order, sector by sector.
//! 2. A name survives after `sync_directory`; before that it may be old or new. A rename is atomic.
//! 3. Writing to one block does not disturb another one.
//! 4. After a failed flush nothing is known of what was written, and a second flush proves nothing. So the first failed write or flush
//!    of a segment in use, of the mark, or of the directory is final.
//! 5. Random numbers do not repeat.
//!
//! # Looking at a log
//!
//! [`verify`] reads everything and lists all damage, also of a log that refuses to open; [`dump`] prints it frame by frame; [`is_blank`]
//! says whether anything was ever written. None of them changes anything.

#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds sizes of files in `usize`");

mod buffer;
mod bytes;
mod dump;
mod error;
mod file;
mod foreign;
mod frame;
mod in_place;
mod log;
mod mark;
mod mark_file;
mod names;
mod open;
mod options;
mod poison;
mod reader;
mod recovery;
mod scanner;
mod segment;
mod shared;
mod state;
mod sync;
mod trim;
mod verify;

// What a user of the log needs besides, so that this crate is enough.
pub use kv_core::{Bounds, Durability, Epoch, Error, Log, LogId, LogReader, Lsn, Place, Record, Result};
pub use kv_vfs::{OsVfs, Vfs};

pub use dump::dump;
pub use log::SegmentedLog;
pub use options::Options;
pub use recovery::{Recovery, Torn};
pub use verify::{is_blank, verify};

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
