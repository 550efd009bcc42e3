//! Damage that reads have met: what is known of it, and the files that remember it.
//!
//! A read that meets damage leaves a *flag*: a file beside the part, with `.damaged` added to its
//! name. Its content says what was found, as text for people. While a listed checkpoint names a
//! flagged part, no checkpoint is removed, so that no history that a repair may need is lost. That
//! lasts until the checkpointer is opened again, and the part has been examined: opening a
//! checkpoint reads every block of its flagged parts.
//!
//! - If the part is intact, the flag goes.
//! - If it is not, the owner may take an older checkpoint. The next write sets this one aside, and
//!   the flag goes with it.
//! - Or the owner opens it nevertheless. Its verdict is then `Judged`: removals work again, but
//!   nothing is ever merged out of this part.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{Error, Result};
use kv_vfs::{Access, Origin, Vfs};

use crate::{
    error::is_damage,
    format::{block::BLOCK_BYTES, manifest::PartRef, names},
    inventory::{Inventory, Named},
};

/// How much of a flag is read, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// The flags of a directory, shared by a checkpointer and all checkpoints opened through it.
///
/// Any reading thread may set a flag at any time. A child made by `fork` sets none, and takes no
/// lock here: another thread of its parent may have held it at the fork.
#[derive(Debug)]
pub(crate) struct Damage {
    vfs: Arc<dyn Vfs>,
    /// The process that may set flags.
    origin: Origin,
    /// Whether reads leave no flag, because their owner changes nothing.
    is_silent: bool,
    /// By the number of the part. A flag counts even if its file could not be written. Held while
    /// the files change.
    flags: Mutex<BTreeMap<u64, Flag>>,
}

#[derive(Debug)]
struct Flag {
    text: String,
    /// Whether it was set since this was opened. Then it stays until it is opened again: what is
    /// examined on the disk says nothing about what this process has in memory.
    met_here: bool,
    verdict: Verdict,
}

/// What is known of a flagged part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unexamined,
    /// All of it was read and matches its checksums. The file of the flag is still to be removed.
    Intact,
    Damaged,
    /// It is damaged, and its checkpoint was opened nevertheless.
    Judged,
}

impl Damage {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs, origin: Origin::here(), is_silent: false, flags: Mutex::default() }
    }

    /// Leaves no flags.
    pub(crate) fn silent(vfs: Arc<dyn Vfs>) -> Self {
        Self { is_silent: true, ..Self::new(vfs) }
    }

    /// Sets the flag of a part if `error`, which a read of it met, is damage. Returns whether it
    /// is.
    #[cold]
    pub(crate) fn note(&self, seq: u64, error: &Error) -> bool {
        let is_damage = is_damage(error);
        if is_damage {
            self.set(seq, error);
        }
        is_damage
    }

    fn set(&self, seq: u64, error: &Error) {
        if self.is_silent || !self.origin.is_here() {
            return;
        }
        let mut flags = self.flags();
        let verdict = match flags.get(&seq) {
            Some(flag) if flag.met_here => return,
            Some(Flag { verdict: Verdict::Judged, .. }) => Verdict::Judged,
            _ => Verdict::Unexamined,
        };
        let text = describe(error);
        // Best effort: the disk may be full or read-only. The reader gets the damage anyway.
        let _ = self.write(seq, &text);
        flags.insert(seq, Flag { text, met_here: true, verdict });
    }

    fn write(&self, seq: u64, text: &str) -> kv_vfs::Result<()> {
        let file = self.vfs.create(&names::damaged(seq))?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        self.vfs.sync_directory()
    }

    /// Learns of the flags that earlier openings and other processes have left.
    pub(crate) fn learn(&self, inventory: &Inventory) {
        if inventory.flags.is_empty() || !self.origin.is_here() {
            return;
        }
        let mut flags = self.flags();
        for seq in &inventory.flags {
            if !flags.contains_key(seq) {
                // The name is what counts. The text is for people.
                let text = self.read(*seq).unwrap_or_else(|error| Error::from(error).chain());
                flags.insert(*seq, Flag { text, met_here: false, verdict: Verdict::Unexamined });
            }
        }
    }

    fn read(&self, seq: u64) -> kv_vfs::Result<String> {
        let file = self.vfs.open(&names::damaged(seq), Access::Read)?;
        let mut text = vec![0; TEXT_BYTES_MAX];
        let read = file.read_at(&mut text, 0)?;
        text.truncate(read);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The parts among these that have a flag and are not known to be intact, with what is known.
    pub(crate) fn flagged(&self, parts: &[PartRef]) -> Vec<(PartRef, Verdict)> {
        if !self.origin.is_here() {
            return Vec::new();
        }
        let flags = self.flags();
        let flagged = parts.iter().filter_map(|part| Some((*part, flags.get(&part.seq)?.verdict)));
        flagged.filter(|(_, verdict)| *verdict != Verdict::Intact).collect()
    }

    /// Enters what an examination has shown.
    pub(crate) fn settle(&self, seq: u64, verdict: Verdict) {
        if let Some(flag) = self.flags().get_mut(&seq)
            && !(flag.met_here && verdict == Verdict::Intact)
            && !(flag.verdict == Verdict::Judged && verdict == Verdict::Damaged)
        {
            flag.verdict = verdict;
        }
    }

    /// Whether there is any flag.
    pub(crate) fn has_flags(&self) -> bool {
        !self.flags().is_empty()
    }

    /// Whether any flag has to be looked at.
    pub(crate) fn is_open(&self) -> bool {
        self.origin.is_here() && self.flags().values().any(Flag::is_open)
    }

    /// The first damage, in a part that a listed checkpoint names, that is not examined or that
    /// nothing was decided about.
    pub(crate) fn first_open(&self, named: &Named) -> Option<Error> {
        let flags = self.flags();
        let (seq, flag) = flags.iter().find(|(seq, flag)| flag.is_open() && named.is_listed(**seq))?;
        Some(self.error(*seq, flag))
    }

    /// The damage of a part that is not known to be intact.
    pub(crate) fn of_part(&self, seq: u64) -> Option<Error> {
        let flags = self.flags();
        flags.get(&seq).filter(|flag| flag.verdict != Verdict::Intact).map(|flag| self.error(seq, flag))
    }

    fn error(&self, seq: u64, flag: &Flag) -> Error {
        let detail = format!(
            "a read met damage, so no checkpoint is removed until the store is opened again; \
             `{}` remembers it: {}",
            names::damaged(seq),
            flag.text
        );
        Error::corrupt_whole(self.vfs.path().join(names::part(seq)), detail)
    }

    /// Removes the flags of parts that are intact or that no listed checkpoint names. The caller
    /// has locked the directory. A file that cannot be removed now is removed another time.
    pub(crate) fn tidy(&self, named: &Named) {
        self.flags().retain(|seq, flag| {
            let is_over = flag.verdict == Verdict::Intact || !named.is_listed(*seq);
            !(is_over && self.remove_file(*seq).is_ok())
        });
    }

    /// Removes all flags, after everything was verified and nothing was wrong.
    pub(crate) fn clear(&self, inventory: &Inventory) -> Result<()> {
        let mut flags = self.flags();
        let seqs = inventory.flags.iter().chain(flags.keys());
        seqs.copied().collect::<Vec<_>>().into_iter().try_for_each(|seq| self.remove_file(seq))?;
        self.vfs.sync_directory()?;
        flags.clear();
        Ok(())
    }

    fn remove_file(&self, seq: u64) -> Result<()> {
        match self.vfs.remove(&names::damaged(seq)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn flags(&self) -> MutexGuard<'_, BTreeMap<u64, Flag>> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flag {
    fn is_open(&self) -> bool {
        matches!(self.verdict, Verdict::Unexamined | Verdict::Damaged)
    }
}

/// What was found, and the block.
fn describe(error: &Error) -> String {
    match error {
        Error::Corrupt { offset: Some(offset), .. } => format!("{error}, block {}\n", offset / BLOCK_BYTES as u64),
        _ => format!("{}\n", error.chain()),
    }
}
