//! A disk after a power cut, with everything that is known of it.

use std::collections::{BTreeMap, BTreeSet};

use kv_store::Lsn;
use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};

use super::{
    mark_states::{Claims, MarkChoice, MarkStates},
    scenario::Scenario,
    segment_damage::{SECTOR_BYTES, SegmentDamage, Span},
};
use crate::{
    coverage::{State, States},
    driver::Driver,
    findings::Verdict,
    oracle::Oracle,
    workload::Step,
};

/// The log's segments, now and earlier.
pub struct Image {
    /// The path and content of each segment.
    pub files: Vec<(String, Vec<u8>)>,
    older: Vec<Vec<Vec<u8>>>,
}

impl Image {
    fn of(disk: &SimDisk, before: &[BTreeMap<String, Vec<u8>>]) -> Self {
        let files: Vec<_> = disk.files().into_iter().filter(|(path, _)| path.ends_with(".wal")).collect();
        let older =
            |(path, _): &(String, Vec<u8>)| before.iter().filter_map(|files| files.get(path).cloned()).collect();
        Self { older: files.iter().map(older).collect(), files }
    }

    /// The spans of this size that are not all zeroes.
    pub fn used(&self, file: usize, sectors: usize) -> Vec<Span> {
        let bytes = &self.files[file].1;
        let spans = (0..bytes.len() / SECTOR_BYTES).step_by(sectors).map(|from| Span { file, from, sectors });
        spans.filter(|span| self.bytes(*span).iter().any(|byte| *byte != 0)).collect()
    }

    /// The bytes of a span; fewer where the file ends.
    pub fn bytes(&self, span: Span) -> &[u8] {
        bytes_of(&self.files[span.file].1, span)
    }

    /// What the span held at earlier times, where that is complete and not zero.
    pub fn older(&self, span: Span) -> Vec<Vec<u8>> {
        let now = self.bytes(span);
        let was = self.older[span.file].iter().map(|bytes| bytes_of(bytes, span));
        let was: BTreeSet<_> = was.filter(|was| was.len() == now.len() && *was != now).collect();
        was.into_iter().filter(|was| was.iter().any(|byte| *byte != 0)).map(<[u8]>::to_vec).collect()
    }
}

fn bytes_of(bytes: &[u8], span: Span) -> &[u8] {
    let from = (span.from * SECTOR_BYTES).min(bytes.len());
    &bytes[from..bytes.len().min(from + span.sectors * SECTOR_BYTES)]
}

/// A power cut at the end of a step.
pub struct PowerCut {
    pub name: String,
    /// Whether it is the last of its scenario. Only there, every bit is flipped.
    pub is_last: bool,
    pub image: Image,
    pub marks: MarkStates,
    pub oracle: Oracle,
    pub states: States,
    disk: SimDisk,
}

/// What survives of the files other than the mark: everything, or only what was synced.
const PICKS: [(Survivors, &str); 2] = [(Survivors::Everything, "all"), (Survivors::Nothing, "synced")];

impl PowerCut {
    /// All power cuts of a scenario.
    pub fn of(scenario: &Scenario, seed: u64) -> Verdict<Vec<Self>> {
        let mut driver = Driver::new(&SimDisk::new(seed), Oracle::nothing());
        let (mut claims, mut before, mut durable, mut cuts) = (Claims::default(), Vec::new(), Lsn::START, Vec::new());
        let first = scenario.steps.len() - scenario.cuts;
        for (at, step) in scenario.steps.iter().enumerate() {
            let during = matches!(step, Step::CheckpointBeside(..));
            if during {
                driver.disk.record();
            }
            driver.run_steps(&[*step])?;
            let now = driver.engine.as_ref().map_or(durable, |engine| engine.store.stats().log.durable);
            claims.note(&driver.disk, durable, now);
            durable = now;
            if at >= first {
                let states = driver.states();
                let name = format!("{}/{}", scenario.name, at + 1);
                cuts.extend(Self::at(&name, &driver.disk, &driver.oracle, states, &claims, &before));
            }
            if during {
                cuts.extend(Self::during(scenario, &driver, &claims, &before));
            }
            before.push(driver.disk.files());
        }
        let last = format!("{}/{}:", scenario.name, scenario.steps.len());
        cuts.iter_mut().for_each(|cut| cut.is_last = cut.name.starts_with(&last));
        Ok(cuts)
    }

    /// A power cut while a checkpoint is being written, after half of the operations of that step.
    fn during(
        scenario: &Scenario,
        driver: &Driver,
        claims: &Claims,
        before: &[BTreeMap<String, Vec<u8>>],
    ) -> Vec<Self> {
        let moments = driver.disk.take_recording();
        let Some(moment) = moments.get(moments.len() / 2) else { return Vec::new() };
        let mut states = driver.states();
        states.add(State::Frozen);
        // The oracle at the end of the step has everything that was begun. Only the promises up to
        // this operation count.
        let oracle = driver.oracle.at(moment.operation);
        Self::at(&format!("{}/frozen", scenario.name), &moment.disk, &oracle, states, claims, before)
    }

    fn at(
        name: &str,
        disk: &SimDisk,
        oracle: &Oracle,
        states: States,
        claims: &Claims,
        before: &[BTreeMap<String, Vec<u8>>],
    ) -> Vec<Self> {
        let marks = MarkStates::of(disk, claims);
        let cut = |(survivors, what): &(Survivors, &str)| {
            let left = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: survivors.clone() });
            let image = Image::of(&left, before);
            let (oracle, marks) = (oracle.clone(), marks.clone());
            Self { name: format!("{name}:{what}"), is_last: false, image, marks, oracle, states, disk: left }
        };
        let mut cuts: Vec<_> = PICKS.iter().map(cut).collect();
        if cuts[0].image.files == cuts[1].image.files {
            cuts.pop();
        }
        cuts
    }

    /// The disk with this mark and this damage.
    pub fn damaged(&self, choice: &MarkChoice, damage: &SegmentDamage) -> SimDisk {
        let disk = self.disk.killed();
        self.marks.leave(choice, &disk);
        damage.apply(&self.image, &disk);
        disk
    }

    /// The position up to which nothing may be missing, unless the opening is refused.
    pub fn floor(&self, choice: &MarkChoice, damage: &SegmentDamage) -> Lsn {
        let is_sealed = self.states.iter().any(|state| state == State::Sealed);
        let by_frames = if is_sealed && !matches!(damage, SegmentDamage::Swapped(..)) {
            // The seal names everything before it, so damage before the seal is noticed. Damage to
            // the seal itself costs nothing, because everything before it is whole.
            self.oracle.promised(u64::MAX, CrashModel::Posix)
        } else {
            self.oracle.all_but_the_last_group(u64::MAX)
        };
        by_frames.max(self.marks.proves(choice))
    }
}
