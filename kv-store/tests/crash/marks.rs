//! One damage to the log after a power cut, combined with states in which the power cut may leave
//! the ack mark; [`mark_states`] says which.
//!
//! A killed process leaves the newest mark, and then one damage makes nothing disappear silently. A
//! power cut may leave any older mark, or none. Then one damage may cost the last flushed group,
//! because no later frame names it. It must never cost what a later frame or the mark proves.

mod mark_states;
mod power_cut;
mod scenario;
mod segment_damage;

use kv_store::Error;

use self::{mark_states::MarkChoice, power_cut::PowerCut, scenario::Scenario, segment_damage::SegmentDamage};
use crate::{
    coverage::{Coverage, Verb},
    engine::{Engine, difference},
    findings::{Findings, Verdict, Violation},
    parallel::for_each_in_parallel,
    use_after_damage::{MayLose, use_and_crash},
};

/// A damage combined with a state of the mark.
#[derive(Clone, Debug)]
struct MarkedCase {
    cut: usize,
    damage: SegmentDamage,
    choice: MarkChoice,
}

/// All power cuts, and all cases.
pub struct MarkedDamages {
    cuts: Vec<PowerCut>,
    /// First the cases that are always checked, then the rest in an order that follows from the
    /// seed.
    cases: Vec<MarkedCase>,
    core: usize,
}

/// The power cuts of one scenario.
pub fn cuts_of(scenario: &str, seed: u64) -> Verdict<Vec<PowerCut>> {
    let scenario = Scenario::all().into_iter().find(|other| other.name == scenario);
    scenario.map_or_else(|| Ok(Vec::new()), |scenario| PowerCut::of(&scenario, seed))
}

impl MarkedDamages {
    pub fn new(seed: u64) -> Verdict<Self> {
        let mut cuts = Vec::new();
        for scenario in Scenario::all() {
            cuts.extend(PowerCut::of(&scenario, seed)?);
        }
        let (mut core, mut rest) = (Vec::new(), Vec::new());
        for (at, cut) in cuts.iter().enumerate() {
            let choices = cut.marks.choices();
            let case = |damage: &SegmentDamage, choice: &MarkChoice| MarkedCase {
                cut: at,
                damage: damage.clone(),
                choice: choice.clone(),
            };
            for damage in SegmentDamage::to_spans(&cut.image).into_iter().chain(SegmentDamage::to_headers(&cut.image)) {
                let beside = if damage.is_of_block() { choices.len() } else { BESIDE_SECTORS.min(choices.len()) };
                let mut cases = choices[..beside].iter().map(|choice| case(&damage, choice));
                if matches!(damage, SegmentDamage::Zeroed(_)) && damage.is_of_block() {
                    core.extend(cases.by_ref().take(1)); // the oldest marks, which prove the least
                }
                rest.extend(cases);
            }
            if cut.is_last {
                let bits = SegmentDamage::to_bits(&cut.image).enumerate();
                let beside = |number: usize| &choices[number % choices.len()];
                rest.extend(
                    bits.flat_map(|(number, damage)| [case(&damage, &choices[0]), case(&damage, beside(number))]),
                );
            }
        }
        fastrand::Rng::with_seed(seed).shuffle(&mut rest);
        let count = core.len();
        core.extend(rest);
        Ok(Self { cuts, cases: core, core: count })
    }

    pub fn states(&self) -> u64 {
        self.cases.len() as u64
    }

    /// How many cases are always checked.
    pub fn core(&self) -> u64 {
        self.core as u64
    }

    /// Checks those of the first `count` cases for which `is_wanted` holds.
    pub fn examine(&self, count: u64, is_wanted: impl Fn(u64) -> bool, findings: &Findings) -> String {
        let cases = &self.cases[..self.cases.len().min(count as usize)];
        let wanted: Vec<_> = (0..).zip(cases).filter(|(number, _)| is_wanted(*number)).collect();
        for_each_in_parallel(&wanted, |(number, case)| {
            let cut = &self.cuts[case.cut];
            let verb = Verb::ALL[*number as usize % Verb::ALL.len()];
            findings.coverage.happened(cut.states, case.damage.fault());
            findings.examine(&self.name(case), || check(cut, case, verb, &findings.coverage));
        });
        if !findings.is_clean()
            && let Some(case) = wanted.iter().find_map(|(_, case)| self.fails(case).map(|_| *case))
        {
            self.print_simplest(case, findings);
        }
        format!("{} of {} damages with marks, at {} power cuts", cases.len(), self.cases.len(), self.cuts.len())
    }

    /// Checks one case again.
    pub fn replay(&self, text: &str, findings: &Findings) -> Option<()> {
        let (number, case) = (0..).zip(&self.cases).find(|(_, case)| self.name(case) == text)?;
        let verb = Verb::ALL[number % Verb::ALL.len()];
        findings.examine(&text, || check(&self.cuts[case.cut], case, verb, &findings.coverage));
        Some(())
    }

    fn name(&self, case: &MarkedCase) -> String {
        let cut = &self.cuts[case.cut];
        format!("mark@{}:{}:{}", cut.name, cut.marks.name(&case.choice), case.damage.name(&cut.image))
    }

    fn fails(&self, case: &MarkedCase) -> Option<Violation> {
        check(&self.cuts[case.cut], case, Verb::Put, &Coverage::default()).err()
    }

    /// Prints the simplest failing case of the same cut: the smallest damage, with the mark nearest
    /// to the exact one.
    fn print_simplest(&self, case: &MarkedCase, findings: &Findings) {
        let cut = &self.cuts[case.cut];
        let mut candidates: Vec<_> = self.cases.iter().filter(|other| other.cut == case.cut).collect();
        candidates
            .retain(|other| other.damage.fault() == case.damage.fault() && other.damage.size() <= case.damage.size());
        candidates.sort_by_key(|other| (other.damage.size(), cut.marks.distance(&other.choice)));
        let simplest = candidates.into_iter().take(SIMPLER_MAX).find(|other| self.fails(other).is_some());
        findings.print_simplest(&self.name(simplest.unwrap_or(case)));
    }
}

/// Damage to a single sector is combined with this many states of the mark, damage to a block with
/// all of them. (In most blocks only one sector is in use, so damage to the block covers it.)
const BESIDE_SECTORS: usize = 8;

/// How many cases are tried in search of the simplest failing one.
const SIMPLER_MAX: usize = 2000;

fn check(cut: &PowerCut, case: &MarkedCase, verb: Verb, coverage: &Coverage) -> Verdict {
    let MarkedCase { damage, choice, .. } = case;
    let disk = cut.damaged(choice, damage);
    let engine = match Engine::open(&disk) {
        Ok(engine) => engine,
        Err(Error::Corrupt { .. } | Error::Unrecoverable(_)) => return Ok(()),
        Err(error) => return Err(Violation::wrong(format!("damage gave the wrong error: {error:?}"))),
    };
    let (position, floor) = (engine.store.recovery().position, cut.floor(choice, damage));
    if position < floor {
        let what = format!("position {floor} was proven to be durable, and the store is at {position}");
        return Err(Violation::loss(what));
    }
    let Some(expected) = cut.oracle.state_at(position) else {
        return Err(Violation::wrong(format!("position {position} was never written")));
    };
    match difference(&engine.store, expected) {
        Ok(None) => {
            coverage.met_by(verb, damage.fault());
            use_and_crash(engine, &disk, &cut.oracle, verb, MayLose::LastGroup)
        }
        Ok(Some(difference)) => Err(Violation::loss(format!("at position {position}, {difference}"))),
        Err(Error::Corrupt { .. }) => Ok(()),
        Err(error) => Err(Violation::wrong(format!("damage gave the wrong error: {error:?}"))),
    }
}
