//! What can happen, and what it does.

use super::{
    Bounds, Flaw, KEYS, Open, Record, State, Work,
    disk::{Disk, Entries, Entry, Flag, Id, Manifest, Name, Part, Verdict},
};

/// A step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A record is written, and acknowledged as such.
    Append(Record),
    /// The log is flushed, and what it holds is acknowledged as durable.
    Sync,
    /// The active memtable is frozen.
    Freeze,
    /// A checkpoint of the oldest frozen memtable is begun: its part is written.
    BeginWrite,
    /// The manifest of the checkpoint that is being written gets its name.
    PublishWrite,
    /// That name is made durable, and the checkpoint replaces the memtable.
    FinishWrite,
    /// A merge of some parts of the newest checkpoint is begun: its part is written.
    BeginMerge {
        /// The first of the parts, counted from the newest.
        from: usize,
        /// How many there are.
        len: usize,
    },
    /// The manifest of the merge gets its name.
    PublishMerge,
    /// That name is made durable, and readers use the result.
    FinishMerge,
    /// The checkpoints that are no longer needed are removed, and the parts of them alone.
    Remove,
    /// The log is trimmed up to the older of the two checkpoints.
    Trim,
    /// The view is one part and was verified. Everything else is removed, and the log is trimmed up
    /// to the view.
    Compact,
    /// The position of the view is pinned: what is needed to go on from there is kept.
    Pin,
    /// The pin is dropped.
    Unpin,
    /// A key is read, which may meet damage.
    Read(usize),
    /// A part is damaged.
    Damage(u8),
    /// The process is killed. Everything written is left.
    Kill,
    /// The power is cut.
    CutPower {
        /// Which of the names that were changed and not synced stay so, one bit each.
        kept: u16,
        /// The position of the last record that is left.
        records: u8,
    },
    /// The store is opened.
    Open,
}

/// The records that are appended.
const KINDS: [Record; 3] = [Record::Put(0), Record::Delete(0), Record::Put(1)];

impl State {
    /// Everything that can happen next.
    pub fn actions(&self, bounds: Bounds, flaw: Flaw) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.damages < bounds.damages {
            let durable = self.disk.parts.iter().filter(|part| part.name == Name::Durable);
            actions.extend(durable.map(|part| Action::Damage(part.number)));
        }
        let Some(open) = &self.open else {
            actions.push(Action::Open);
            return actions;
        };
        if self.disk.appended() < bounds.records {
            actions.extend(KINDS.into_iter().take(bounds.kinds).map(Action::Append));
        }
        if self.crashes < bounds.crashes {
            actions.push(Action::Kill);
            let masks = 0..1 << self.disk.unsynced_names();
            let records = self.disk.synced..=self.disk.appended();
            actions
                .extend(masks.flat_map(|kept| records.clone().map(move |records| Action::CutPower { kept, records })));
        }
        self.offer_work(open, bounds, flaw, &mut |action| actions.push(action));
        actions
    }

    /// What an open store may do by itself, and reads.
    fn offer_work(&self, open: &Open, bounds: Bounds, flaw: Flaw, push: &mut dyn FnMut(Action)) {
        let mut offer = |action, is_possible| {
            if is_possible {
                push(action);
            }
        };
        offer(Action::Sync, self.acknowledged < self.disk.appended());
        offer(Action::Freeze, open.active != Entries::default() && open.frozen.len() < 2);
        let is_published = |work: &Option<Work>| work.as_ref().map(|work| work.published.is_some());
        let has_room = self.disk.last_number + 2 <= bounds.numbers;
        offer(Action::BeginWrite, open.writing.is_none() && !open.frozen.is_empty() && has_room);
        offer(Action::PublishWrite, is_published(&open.writing) == Some(false));
        offer(Action::FinishWrite, is_published(&open.writing) == Some(true));
        offer(Action::PublishMerge, is_published(&open.merging) == Some(false));
        offer(Action::FinishMerge, is_published(&open.merging) == Some(true));
        let may_remove = self.may_remove(open, flaw);
        offer(Action::Remove, may_remove && !self.removable(flaw).is_empty());
        offer(Action::Trim, may_remove && self.needed_after(flaw).is_some_and(|lsn| lsn > self.disk.trimmed));
        let is_compact = open.parts.len() == 1 && self.disk.is_sound(&open.parts);
        let is_more = || trimmed_by_compact(&self.disk, open, flaw) > self.disk.trimmed;
        offer(Action::Compact, may_remove && is_compact && is_more());
        offer(Action::Pin, bounds.pins && open.pin.is_none());
        offer(Action::Unpin, open.pin.is_some());
        let may_meet = self.disk.flag.is_none_or(|flag| flag.verdict != Verdict::Unexamined);
        (0..KEYS).for_each(|key| offer(Action::Read(key), may_meet && self.damage_below(key).is_some()));
        if open.merging.is_none() && has_room {
            let parts = self.newest_parts();
            let runs = (0..parts.len()).flat_map(|from| (2..=parts.len() - from).map(move |len| (from, len)));
            runs.for_each(|(from, len)| {
                offer(Action::BeginMerge { from, len }, self.disk.is_sound(&parts[from..from + len]));
            });
        }
    }

    /// The state after an action that [`actions`](State::actions) lists.
    ///
    /// # Errors
    /// What was broken, if a recovery breaks a promise.
    pub fn after(&self, action: Action, flaw: Flaw) -> Result<Self, &'static str> {
        let mut next = self.clone();
        match action {
            Action::Damage(number) => {
                next.damages += 1;
                next.disk.parts.iter_mut().filter(|part| part.number == number).for_each(|part| part.is_damaged = true);
            }
            Action::Kill => {
                next.crashes += 1;
                next.open = None;
            }
            Action::CutPower { kept, records } => {
                next.crashes += 1;
                next.open = None;
                next.disk.cut_power(kept, records);
            }
            Action::Open => next.recover(flaw)?,
            _ => {
                let Some(mut open) = next.open.take() else { return Err("the store is not open") };
                if action == Action::Trim && trims_to_known_damage(&next.disk, &open, flaw) {
                    return Err("the log is trimmed to a checkpoint that is known to be bad");
                }
                next.act(&mut open, action, flaw);
                next.open = Some(open);
            }
        }
        Ok(next)
    }

    /// What an open store does. `self.open` is taken out.
    fn act(&mut self, open: &mut Open, action: Action, flaw: Flaw) {
        match action {
            Action::Append(record) => {
                self.disk.records.push(record);
                let lsn = self.disk.appended();
                open.active = overlay(self.disk.changes(lsn - 1, lsn), open.active);
            }
            Action::Sync => {
                self.disk.synced = self.disk.appended();
                self.acknowledged = self.disk.synced;
                self.disk.trimmed_durably = self.disk.trimmed;
            }
            Action::Freeze => open.frozen.push((std::mem::take(&mut open.active), self.disk.appended())),
            Action::BeginWrite => self.begin_write(open, flaw),
            Action::PublishWrite => self.publish_write(open, flaw),
            Action::FinishWrite => {
                open.frozen.remove(0);
                let done = open.writing.take();
                self.finish(open, done);
            }
            Action::BeginMerge { from, len } => self.begin_merge(open, from, len, flaw),
            Action::PublishMerge => self.publish_merge(open, flaw),
            Action::FinishMerge => {
                let done = open.merging.take();
                self.finish(open, done);
            }
            Action::Remove => self.remove(&removable(&self.disk, open, flaw), open),
            Action::Compact => self.compact(open, flaw),
            Action::Pin => open.pin = Some(open.view.map_or(0, |view| view.lsn)),
            Action::Unpin => open.pin = None,
            Action::Trim => self.disk.trimmed = needed_after(&self.disk, open, flaw).unwrap_or(self.disk.trimmed),
            Action::Read(key) => self.meet_damage(open, key),
            Action::Damage(_) | Action::Kill | Action::CutPower { .. } | Action::Open => {}
        }
    }

    fn add_part(&mut self, entries: Entries) -> u8 {
        let number = self.disk.next_number();
        self.disk.parts.push(Part { number, entries, name: Name::Unsynced, is_damaged: false });
        number
    }

    fn begin_write(&mut self, open: &mut Open, flaw: Flaw) {
        let Some((entries, lsn)) = open.frozen.first().copied() else { return };
        if flaw != Flaw::CheckpointAheadOfLog {
            self.disk.synced = self.disk.synced.max(lsn);
        }
        let part = self.add_part(entries);
        open.writing = Some(Work { part, lsn, run: Vec::new(), begun_with: Vec::new(), published: None });
    }

    fn publish_write(&mut self, open: &mut Open, flaw: Flaw) {
        let Some(work) = &mut open.writing else { return };
        let below = open.newest.and_then(|id| self.disk.manifest(id)).map(|manifest| manifest.parts.clone());
        let parts: Vec<_> = [work.part].into_iter().chain(below.unwrap_or_default()).collect();
        let id = Id { epoch: open.epoch, lsn: work.lsn, number: self.disk.next_number() };
        work.published = Some(id);
        self.sync_part(work.part, flaw);
        self.disk.manifests.push(Manifest { id, previous: open.newest, parts, name: Name::Unsynced });
        open.newest = Some(id);
    }

    /// A part is durable before a manifest names it.
    fn sync_part(&mut self, number: u8, flaw: Flaw) {
        if flaw != Flaw::PublishesUnsynced {
            self.disk.parts.iter_mut().filter(|part| part.number == number).for_each(|part| part.name = Name::Durable);
        }
    }

    fn begin_merge(&mut self, open: &mut Open, from: usize, len: usize, flaw: Flaw) {
        let Some(newest) = open.newest.and_then(|id| self.disk.manifest(id)).cloned() else { return };
        let run = newest.parts[from..from + len].to_vec();
        let is_at_bottom = from + len == newest.parts.len();
        let mut entries = Entries::default();
        for part in run.iter().filter_map(|number| self.disk.part(*number)) {
            entries = match flaw {
                Flaw::MergesInWrongOrder => overlay(part.entries, entries),
                _ => overlay(entries, part.entries),
            };
        }
        if is_at_bottom || flaw == Flaw::DropsTombstones {
            entries.iter_mut().filter(|entry| **entry == Entry::Deleted).for_each(|entry| *entry = Entry::None);
        }
        let part = self.add_part(entries);
        open.merging = Some(Work { part, lsn: newest.id.lsn, run, begun_with: newest.parts, published: None });
    }

    fn publish_merge(&mut self, open: &mut Open, flaw: Flaw) {
        let Some(work) = &mut open.merging else { return };
        let Some(newest) = open.newest.and_then(|id| self.disk.manifest(id)).cloned() else { return };
        let over = if flaw == Flaw::MergesOverNewer { work.begun_with.clone() } else { newest.parts };
        let Some(at) = over.windows(work.run.len()).position(|parts| parts == work.run) else { return };
        let mut parts = over;
        parts.splice(at..at + work.run.len(), [work.part]);
        let id = Id { epoch: open.epoch, lsn: newest.id.lsn, number: self.disk.next_number() };
        work.published = Some(id);
        self.sync_part(work.part, flaw);
        self.disk.manifests.push(Manifest { id, previous: Some(newest.id), parts, name: Name::Unsynced });
        open.newest = Some(id);
    }

    /// The bad checkpoints are set aside once the new one is durable, and their names synced again.
    fn finish(&mut self, open: &mut Open, done: Option<Work>) {
        self.disk.sync_directory();
        self.disk.manifests.retain(|manifest| !open.bad.contains(&manifest.id));
        open.bad.clear();
        let published = done.and_then(|work| work.published);
        if let Some(manifest) = published.filter(|id| open.view < Some(*id)).and_then(|id| self.disk.manifest(id)) {
            open.view = Some(manifest.id);
            open.parts.clone_from(&manifest.parts);
        }
    }

    fn compact(&mut self, open: &Open, flaw: Flaw) {
        let Some(view) = open.view else { return };
        let trimmed = trimmed_by_compact(&self.disk, open, flaw);
        let pinned = pinned(&self.disk, open, flaw);
        let ids = self.disk.manifests.iter().map(|manifest| manifest.id);
        let older: Vec<_> = ids.filter(|id| *id < view && Some(*id) != pinned).collect();
        self.remove(&older, open);
        self.disk.trimmed = trimmed;
        self.compacted = trimmed;
    }

    fn remove(&mut self, removed: &[Id], open: &Open) {
        for manifest in self.disk.manifests.iter_mut().filter(|manifest| removed.contains(&manifest.id)) {
            manifest.name = Name::Unlinked;
        }
        let named = |number: u8| {
            let is_there = |manifest: &&Manifest| manifest.name != Name::Unlinked;
            let mut works = open.writing.iter().chain(&open.merging);
            works.any(|work| work.part == number)
                || self.disk.manifests.iter().filter(is_there).any(|manifest| manifest.parts.contains(&number))
        };
        let unused: Vec<_> = self.disk.parts.iter().map(|part| part.number).filter(|number| !named(*number)).collect();
        for part in self.disk.parts.iter_mut().filter(|part| unused.contains(&part.number)) {
            part.name = if part.name == Name::Durable { Name::Unlinked } else { part.name };
        }
    }

    fn meet_damage(&mut self, open: &Open, key: usize) {
        let is_judged = |part: &u8| self.disk.flag == Some(Flag { part: *part, verdict: Verdict::Judged });
        if let Some(part) = damage_below(&self.disk, open, key).filter(|part| !is_judged(part)) {
            self.must_heal = self.disk.is_surely_restorable();
            self.disk.flag = Some(Flag { part, verdict: Verdict::Unexamined });
        }
    }

    /// Nothing is removed or trimmed while there is damage that nothing was decided about, nor
    /// before the view is durable. It may not be if the store was opened after a kill.
    fn may_remove(&self, open: &Open, flaw: Flaw) -> bool {
        let no_damage = !self.disk.has_open_damage() || flaw == Flaw::RemovesThoughDamageWasMet;
        let view = open.view.and_then(|id| self.disk.manifest(id));
        let is_durable = view.is_some_and(|view| view.name == Name::Durable) || flaw == Flaw::RemovesBeforeSync;
        no_damage && is_durable
    }

    fn newest_parts(&self) -> Vec<u8> {
        let newest = self.open.as_ref().and_then(|open| open.newest);
        newest.and_then(|id| self.disk.manifest(id)).map(|manifest| manifest.parts.clone()).unwrap_or_default()
    }

    fn removable(&self, flaw: Flaw) -> Vec<Id> {
        self.open.as_ref().map(|open| removable(&self.disk, open, flaw)).unwrap_or_default()
    }

    fn needed_after(&self, flaw: Flaw) -> Option<u8> {
        needed_after(&self.disk, self.open.as_ref()?, flaw)
    }

    fn damage_below(&self, key: usize) -> Option<u8> {
        damage_below(&self.disk, self.open.as_ref()?, key)
    }
}

/// The newest checkpoint at a lower position than the view.
fn older(disk: &Disk, open: &Open, flaw: Flaw) -> Option<Id> {
    let view = open.view?;
    disk.list(flaw).into_iter().map(|manifest| manifest.id).find(|id| id.lsn < view.lsn)
}

/// The checkpoint that is pinned: the newest one at or below the pin.
fn pinned(disk: &Disk, open: &Open, flaw: Flaw) -> Option<Id> {
    let pin = open.pin.filter(|_| flaw != Flaw::IgnoresPins)?;
    disk.list(flaw).into_iter().map(|manifest| manifest.id).find(|id| id.lsn <= pin)
}

/// The checkpoints that are not needed: all below the view, but for the older and the pinned one.
fn removable(disk: &Disk, open: &Open, flaw: Flaw) -> Vec<Id> {
    let kept = [older(disk, open, flaw), pinned(disk, open, flaw)];
    let ids = disk.list(flaw).into_iter().map(|manifest| manifest.id);
    ids.filter(|id| Some(*id) < open.view && !kept.contains(&Some(*id))).collect()
}

/// The position after which the log is needed; `None` if all of it is.
fn needed_after(disk: &Disk, open: &Open, flaw: Flaw) -> Option<u8> {
    let older = match flaw {
        Flaw::TrimsToNewest => open.view,
        _ => older(disk, open, flaw),
    };
    needed_by_pin(disk, open, older?.lsn, flaw)
}

/// The same, if nothing but the pin needs records up to this position.
fn needed_by_pin(disk: &Disk, open: &Open, lsn: u8, flaw: Flaw) -> Option<u8> {
    match open.pin.filter(|_| flaw != Flaw::IgnoresPins) {
        Some(pin) => pinned(disk, open, flaw).map(|_| lsn.min(pin)),
        None => Some(lsn),
    }
}

/// The position that the log is trimmed to when the view was verified.
fn trimmed_by_compact(disk: &Disk, open: &Open, flaw: Flaw) -> u8 {
    let needed = open.view.and_then(|view| needed_by_pin(disk, open, view.lsn, flaw));
    disk.trimmed.max(needed.unwrap_or(0))
}

/// Whether the older checkpoint has damage that was met, and the view does not.
fn trims_to_known_damage(disk: &Disk, open: &Open, flaw: Flaw) -> bool {
    let older = older(disk, open, flaw).and_then(|id| disk.manifest(id));
    let is_bad = |parts: &[u8]| disk.flag.is_some_and(|flag| parts.contains(&flag.part)) && !disk.is_sound(parts);
    older.is_some_and(|older| is_bad(&older.parts)) && !is_bad(&open.parts)
}

/// The damaged part, if any, that a read of a key meets.
fn damage_below(disk: &Disk, open: &Open, key: usize) -> Option<u8> {
    read(disk, open, key).err()
}

/// Reads a key in the memtables and the view.
///
/// # Errors
/// The part that is damaged.
pub fn read(disk: &Disk, open: &Open, key: usize) -> Result<Option<u8>, u8> {
    let memtables = open.frozen.iter().rev().map(|(entries, _)| entries[key]);
    let mut found = memtables.fold(open.active[key], Entry::or);
    for number in &open.parts {
        if found != Entry::None {
            break;
        }
        match disk.part(*number) {
            Some(part) if !part.is_damaged => found = part.entries[key],
            _ => return Err(*number),
        }
    }
    Ok(found.read())
}

/// The entries of `above`, and below them those of `below`.
fn overlay(above: Entries, below: Entries) -> Entries {
    std::array::from_fn(|key| above[key].or(below[key]))
}
