//! Recovery, by the table in docs/durability.md.

use super::{
    Flaw, Open, State,
    actions::read,
    disk::{Disk, Flag, Id, Manifest, Verdict},
};

/// What recovery begins with.
enum Choice {
    Good(Id),
    /// Nothing restores everything. This checkpoint can be read in part.
    Damaged(Id),
    Beginning,
}

impl State {
    /// Opens the store, and checks what it found.
    ///
    /// # Errors
    /// The promise that is broken.
    pub(super) fn recover(&mut self, flaw: Flaw) -> Result<(), &'static str> {
        let is_restorable = self.disk.is_restorable();
        let was_met = self.disk.flag;
        if self.must_heal && !is_restorable {
            return Err("what could heal the damage was removed");
        }
        if self.disk.appended() < self.acknowledged {
            return Err("records that were acknowledged as durable are lost");
        }
        set_verdict(&mut self.disk, Verdict::Unexamined);
        let (choice, bad) = choose(&mut self.disk, flaw)?;
        if !bad.is_empty() && self.damages == 0 {
            return Err("a checkpoint is bad although nothing was damaged");
        }
        let (view, is_damaged) = match choice {
            Choice::Good(id) => (Some(id), false),
            Choice::Damaged(id) => (Some(id), true),
            Choice::Beginning => (None, false),
        };
        if is_damaged && is_restorable {
            return Err("the store is damaged, although what is left restores everything");
        }
        let parts = view.and_then(|id| self.disk.manifest(id)).map(|manifest| manifest.parts.clone());
        let parts = parts.unwrap_or_default();
        if was_met.is_some_and(|flag| parts.contains(&flag.part)) && !self.disk.is_sound(&parts) && is_restorable {
            return Err("damage that was met is not healed");
        }
        if is_damaged && flaw != Flaw::DamageStaysUndecided {
            set_verdict(&mut self.disk, Verdict::Judged);
        }
        self.must_heal = false;
        self.disk.synced = self.disk.appended(); // all of it was read back
        let epochs = self.disk.manifests.iter().map(|manifest| manifest.id.epoch);
        let epoch = epochs.chain([self.crashes]).max().unwrap_or(0) + 1;
        let active = self.disk.changes(view.map_or(0, |id| id.lsn), self.disk.appended());
        let (frozen, writing, merging, pin) = (Vec::new(), None, None, None);
        self.open = Some(Open { epoch, active, frozen, view, parts, newest: view, bad, pin, writing, merging });
        Ok(())
    }

    /// Checks what must be true at any time.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn check(&self) -> Result<(), &'static str> {
        let list = self.disk.list(Flaw::None);
        let newest = list.first().map(|manifest| manifest.id.lsn);
        let reached = |manifest: &&&Manifest| self.disk.trimmed <= manifest.id.lsn && Some(manifest.id.lsn) < newest;
        if self.damages == 0 && self.disk.trimmed > self.compacted && !list.iter().any(|manifest| reached(&manifest)) {
            return Err("the log does not reach back to two checkpoints");
        }
        let Some(open) = &self.open else { return Ok(()) };
        if self.disk.flag.is_some_and(|flag| flag.verdict == Verdict::Damaged && open.parts.contains(&flag.part)) {
            return Err("damage that nothing can heal stops removals for good");
        }
        if open.pin.is_some_and(|pin| !self.goes_back_to(&list, pin)) {
            return Err("what is pinned is gone");
        }
        let expected = self.disk.changes(0, self.disk.appended());
        for (key, expected) in expected.iter().enumerate() {
            match read(&self.disk, open, key) {
                Ok(value) if value == expected.read() => {}
                Ok(_) => return Err("a key has another value than the records say"),
                Err(number) if self.disk.part(number).is_some_and(|part| part.is_damaged) => {}
                Err(_) => return Err("a part that readers need is gone"),
            }
        }
        Ok(())
    }
}

impl State {
    /// Whether a checkpoint, or nothing, and the log restore the state at a position and what
    /// follows.
    fn goes_back_to(&self, list: &[&Manifest], lsn: u8) -> bool {
        let trimmed = self.disk.trimmed;
        trimmed == 0 || list.iter().any(|manifest| (trimmed..=lsn).contains(&manifest.id.lsn))
    }
}

/// Decides what to begin with. Also returns the checkpoints that are bad.
fn choose(disk: &mut Disk, flaw: Flaw) -> Result<(Choice, Vec<Id>), &'static str> {
    let candidates: Vec<Manifest> = candidates(disk, flaw);
    if candidates.first().is_some_and(|newest| newest.id.lsn > disk.appended()) {
        return Err("locked out: the log ends before its newest checkpoint");
    }
    let mut bad = Vec::new();
    for candidate in &candidates {
        if opens(disk, candidate, flaw) {
            if candidate.id.lsn < disk.trimmed {
                break;
            }
            return Ok((Choice::Good(candidate.id), bad));
        }
        bad.push(candidate.id);
    }
    if disk.trimmed == 0 {
        return Ok((Choice::Beginning, bad));
    }
    let readable = |manifest: &&Manifest| {
        manifest.id.lsn >= disk.trimmed && manifest.parts.iter().all(|number| disk.is_there(*number))
    };
    match candidates.iter().find(readable) {
        Some(manifest) => {
            bad.retain(|id| *id > manifest.id);
            Ok((Choice::Damaged(manifest.id), bad))
        }
        None => Err("locked out: history is missing"),
    }
}

/// The checkpoints that are tried, the newest first: those of the two newest positions, and all
/// that the log reaches back to.
fn candidates(disk: &Disk, flaw: Flaw) -> Vec<Manifest> {
    let mut positions = Vec::new();
    let is_tried = |manifest: &&Manifest| {
        if !positions.contains(&manifest.id.lsn) {
            positions.push(manifest.id.lsn);
        }
        positions.len() <= 2 || manifest.id.lsn >= disk.trimmed && flaw != Flaw::TriesTwoPositions
    };
    disk.list(flaw).into_iter().take_while(is_tried).cloned().collect()
}

/// Whether a checkpoint opens. A part in which damage was met is verified; damage elsewhere waits
/// for a read.
fn opens(disk: &mut Disk, manifest: &Manifest, flaw: Flaw) -> bool {
    if !manifest.parts.iter().all(|number| disk.is_there(*number)) {
        return false;
    }
    let met = disk.flag.filter(|flag| manifest.parts.contains(&flag.part));
    let Some(Flag { part, .. }) = met.filter(|_| flaw != Flaw::OpenDoesNotExamine) else { return true };
    disk.flag = Some(Flag { part, verdict: Verdict::Damaged });
    disk.is_sound(&[part])
}

fn set_verdict(disk: &mut Disk, verdict: Verdict) {
    disk.flag.iter_mut().for_each(|flag| flag.verdict = verdict);
}
