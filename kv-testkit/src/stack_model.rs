//! An executable model of a store over stacked checkpoints: the log, the memtables, the parts and
//! manifests, merging, trimming, removal, damage, crashes and recovery.
//!
//! A [`State`] is small, and [`State::actions`] lists everything that can happen next. So
//! [`explore`] can try *every* sequence of actions within some [`Bounds`]. After each action it
//! checks:
//!
//! - **prefix**: every key reads as the records up to the position say, or as damaged;
//! - **durable**: no recovery ends before a position that was acknowledged as durable;
//! - **never locked out**: an opening is refused only if nothing that is left restores everything;
//! - **two positions**: once the log was trimmed, it reaches back to two checkpoints of different
//!   positions, so that each protects the other in what they do not share (after a compaction, it
//!   reaches back to the one that was verified). It is not trimmed to one that is known to be bad;
//! - **healed**: if damage was met, and a checkpoint and the log restore everything without it, the
//!   next opening uses them; and nothing that can heal damage is removed once it was met;
//! - **pinned**: a checkpoint at or below a pin, or the beginning of the log, and the log from
//!   there on are kept;
//! - **settled**: once a damaged checkpoint was opened because nothing heals it, removals go on.
//!
//! A [`Flaw`] breaks one rule of the model, to show that these checks can fail.
//!
//! The [`Action`]s can also drive a real store, side by side with the model: [`State::look`] says
//! what a store in this state shows. The tests of kv-store do that.
//!
//! ```
//! use kv_testkit::stack_model::{Bounds, Flaw, explore};
//!
//! let bounds = Bounds { kinds: 1, ..Bounds::SMALL };
//! assert!(explore(bounds, Flaw::None).is_ok());
//! let found = explore(bounds, Flaw::CheckpointAheadOfLog).unwrap_err();
//! println!("{} by {:?}", found.what, found.steps);
//! ```

mod actions;
mod disk;
mod explore;
mod look;
mod recovery;

use disk::{Disk, Entries, Id};

pub use actions::Action;
pub use explore::{Bounds, Found, Reached, explore};
pub use look::{Look, LookAtKey, LookInside};

/// How many keys there are.
pub const KEYS: usize = 2;

/// A record of the log. The value that it puts is its position, so that every value is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// Puts a value under a key.
    Put(usize),
    /// Deletes a key, which may be absent.
    Delete(usize),
}

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// All rules are kept.
    None,
    /// A checkpoint is written of a position up to which the log was not flushed.
    CheckpointAheadOfLog,
    /// Opening a damaged checkpoint, because nothing heals it, does not settle its damage.
    DamageStaysUndecided,
    /// A merge above the bottom drops deletions.
    DropsTombstones,
    /// Checkpoints are removed and the log is trimmed although they are pinned.
    IgnoresPins,
    /// A merge lets older entries win.
    MergesInWrongOrder,
    /// A merge replaces the manifest that it began with, although there is a newer one.
    MergesOverNewer,
    /// Opening does not verify what a read has found damaged.
    OpenDoesNotExamine,
    /// A manifest is published before the name of its new part is durable.
    PublishesUnsynced,
    /// Checkpoints are removed and the log is trimmed although the name of the newest checkpoint is
    /// not durable.
    RemovesBeforeSync,
    /// Checkpoints are removed and the log is trimmed although damage was met.
    RemovesThoughDamageWasMet,
    /// What was set aside counts as listed when a crash brings it back.
    SetAsideComesBack,
    /// The log is trimmed up to the newest checkpoint.
    TrimsToNewest,
    /// Recovery tries no checkpoints but those of the two newest positions, even if the log reaches
    /// back to others.
    TriesTwoPositions,
}

/// The whole model: a disk, and a store that may be open on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    disk: Disk,
    /// `None` after a crash.
    open: Option<Open>,
    /// The position up to which records were acknowledged as durable.
    acknowledged: u8,
    /// Whether everything could be restored when damage was met.
    must_heal: bool,
    /// The position that the log was trimmed to because the checkpoint there was verified.
    compacted: u8,
    crashes: u8,
    damages: u8,
}

/// A store that is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Open {
    epoch: u8,
    /// What was changed since the newest frozen memtable.
    active: Entries,
    /// The oldest first, each with its last position.
    frozen: Vec<(Entries, u8)>,
    /// The checkpoint that reads use; `None` if there is none.
    view: Option<Id>,
    /// The parts of the view, the newest first.
    parts: Vec<u8>,
    /// The newest checkpoint that was published: the view, or one that is not installed yet.
    newest: Option<Id>,
    /// Checkpoints that were found bad. The next write sets them aside.
    bad: Vec<Id>,
    /// A position from which something goes on: the records after it are needed, and a checkpoint
    /// at or below it.
    pin: Option<u8>,
    writing: Option<Work>,
    merging: Option<Work>,
}

/// A checkpoint that is being made, by a write or a merge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    /// The part that was written for it.
    part: u8,
    /// The position that it was begun for.
    lsn: u8,
    /// The parts that a merge replaces.
    run: Vec<u8>,
    /// The parts that the manifest had at the beginning.
    begun_with: Vec<u8>,
    published: Option<Id>,
}
