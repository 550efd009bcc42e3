//! The plan: which states are checked, and in which order.

use std::{collections::HashSet, vec};

use super::super::{CrashChoice, CrashModel, Moment, SimDisk, Survivors, outcomes::corner_cases, units::Units};

/// All states of a moment and model are checked if there are at most this many, counted before
/// equal ones are skipped.
const EXHAUSTED_MAX: u64 = 4096;
/// Otherwise at least this many random samples are checked.
const SAMPLES: u64 = 1000;

/// After this many samples in a row that leave a disk which was already checked, the search for new
/// ones is given up.
const DUPLICATE_SAMPLES_MAX: u64 = 1000;

/// A state to check.
pub(super) struct Probe<'a> {
    /// Its place in the order, which follows from the recording and the seed alone.
    pub at: u64,
    pub moment: &'a Moment,
    pub choice: CrashChoice,
    pub left: SimDisk,
}

/// A moment with a model.
struct Visit<'a> {
    moment: &'a Moment,
    model: CrashModel,
    /// How many units may be lost at the moment, in the model that loses most.
    weight: usize,
    /// How many states there are, if they can be counted.
    count: Option<u64>,
    /// How many are to be checked.
    states: u64,
}

/// Yields the states to check, one after the other.
pub(super) struct Source<'a> {
    visits: vec::IntoIter<Visit<'a>>,
    /// The number of states that the remaining visits ask for, and how many of these visits could
    /// use more.
    asked: u64,
    inexhaustible: u64,
    /// How many more states may be checked.
    remaining: u64,
    seed: u64,
    current: Option<Current<'a>>,
    /// The disks that power cuts at the current moment have left so far.
    seen: (u64, HashSet<u64>),
    given: u64,
    pub moments: u64,
    pub exhausted: u64,
    pub sampled: u64,
}

/// The current visit.
struct Current<'a> {
    visit: Visit<'a>,
    units: Units,
    candidates: Box<dyn Iterator<Item = Survivors> + Send>,
    share: u64,
    duplicate_samples: u64,
}

impl<'a> Source<'a> {
    pub fn new(moments: impl Iterator<Item = &'a Moment>, models: &[CrashModel], states_max: u64, seed: u64) -> Self {
        let mut visits = Vec::new();
        let mut distinct_moments = 0;
        for moment in moments {
            distinct_moments += 1;
            let units: Vec<_> = models.iter().map(|model| moment.disk.units(*model)).collect();
            let weight = units.iter().map(|units| units.all().len()).max().unwrap_or(0);
            visits.extend(units.iter().map(|units| Visit::new(moment, units, weight)));
        }
        if visits.iter().map(|visit| visit.states.min(2)).sum::<u64>() > states_max {
            // There are not even two states for each visit: some visits are dropped.
            fastrand::Rng::with_seed(seed).shuffle(&mut visits);
            let mut least = 0;
            visits.retain(|visit| {
                least += visit.states.min(2);
                least <= states_max
            });
        }
        // The last visits get what the others leave, so those with the most states come last.
        visits.sort_by_key(|visit| (visit.weight, visit.moment.operation, visit.model));
        Self {
            asked: visits.iter().map(|visit| visit.states).sum(),
            inexhaustible: visits.iter().filter(|visit| visit.has_more()).count() as u64,
            visits: visits.into_iter(),
            remaining: states_max,
            seed,
            current: None,
            seen: Default::default(),
            given: 0,
            moments: distinct_moments,
            exhausted: 0,
            sampled: 0,
        }
    }

    /// Yields nothing more.
    pub fn stop(&mut self) {
        self.visits = Vec::new().into_iter();
        self.current = None;
    }

    /// Moves to the next visit; `None` after the last.
    fn advance(&mut self) -> Option<Current<'a>> {
        let left = self.visits.len() as u64;
        let visit = self.visits.next()?;
        let mut share = visit.states.min(self.remaining / left);
        if self.remaining >= self.asked {
            let more = (self.remaining - self.asked).checked_div(self.inexhaustible).unwrap_or(0);
            share = visit.states + if visit.has_more() { more } else { 0 };
        }
        self.asked -= visit.states;
        self.inexhaustible -= u64::from(visit.has_more());
        let is_exhausted = visit.count.is_some_and(|count| count <= share);
        self.exhausted += u64::from(is_exhausted);
        self.sampled += u64::from(!is_exhausted);
        if self.seen.0 != visit.moment.operation {
            self.seen = (visit.moment.operation, HashSet::new());
        }
        let units = visit.moment.disk.units(visit.model);
        let seed = self.seed ^ visit.moment.operation << 20 ^ (visit.model as u64) << 60;
        let candidates = visit.candidates(&units, share, seed);
        Some(Current { visit, units, candidates, share, duplicate_samples: 0 })
    }
}

impl<'a> Iterator for Source<'a> {
    type Item = Probe<'a>;

    fn next(&mut self) -> Option<Probe<'a>> {
        loop {
            if self.current.is_none() {
                self.current = Some(self.advance()?);
            }
            let Some(current) = self.current.as_mut() else { continue };
            let is_done = current.share == 0 || current.duplicate_samples == DUPLICATE_SAMPLES_MAX;
            let survivors = if is_done { None } else { current.candidates.next() };
            let Some(survivors) = survivors else {
                self.current = None;
                continue;
            };
            let Visit { moment, model, .. } = current.visit;
            let left = moment.disk.crash_of(&current.units, &survivors);
            if model != CrashModel::Killed && !self.seen.1.insert(left.fingerprint()) {
                current.duplicate_samples += u64::from(matches!(survivors, Survivors::Sample(_)));
                continue;
            }
            current.duplicate_samples = 0;
            current.share -= 1;
            self.remaining -= 1;
            self.given += 1;
            return Some(Probe { at: self.given, moment, choice: CrashChoice { model, survivors }, left });
        }
    }
}

impl<'a> Visit<'a> {
    fn new(moment: &'a Moment, units: &Units, weight: usize) -> Self {
        let count = units.count();
        let corner_cases = || corner_cases(units).count() as u64 + SAMPLES;
        let states = count.filter(|count| *count <= EXHAUSTED_MAX).unwrap_or_else(corner_cases);
        Self { moment, model: units.model, weight, count, states }
    }

    /// Whether there are more states than will be checked.
    fn has_more(&self) -> bool {
        self.count.is_none_or(|count| count > self.states)
    }

    /// The choices to try. There are spare ones, to replace those that leave equal disks.
    fn candidates(&self, units: &Units, share: u64, seed: u64) -> Box<dyn Iterator<Item = Survivors> + Send> {
        if let Some(count) = self.count
            && count <= share
        {
            return Box::new((0..count).map(Survivors::Numbered));
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        if self.has_more() && share >= self.states {
            return Box::new(corner_cases(units).chain(samples(rng)));
        }
        // "Nothing" and "everything" first, then a random part of the others.
        let mut candidates: Vec<_> = if self.has_more() {
            corner_cases(units).chain(samples(rng.fork()).take(SAMPLES as usize)).collect()
        } else {
            [Survivors::Nothing, Survivors::Everything]
                .into_iter()
                .chain((0..self.states).map(Survivors::Numbered))
                .collect()
        };
        rng.shuffle(&mut candidates[2..]);
        Box::new(candidates.into_iter())
    }
}

fn samples(mut rng: fastrand::Rng) -> impl Iterator<Item = Survivors> + Send {
    std::iter::repeat_with(move || Survivors::Sample(rng.u64(..1 << 48)))
}

/// Keeps the last of consecutive moments with equal disks, because the most promises hold there.
pub(super) fn distinct(moments: &[Moment]) -> impl Iterator<Item = &Moment> {
    let is_last = |at: usize| moments.get(at + 1).is_none_or(|next| !moments[at].disk.is_same(&next.disk));
    moments.iter().enumerate().filter(move |(at, _)| is_last(*at)).map(|(_, moment)| moment)
}
