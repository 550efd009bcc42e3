//! One damage to the log after a power cut, with every state that the power cut may leave the ack
//! mark in.
//!
//! After a killed process the mark is exact, and one damage costs nothing silently. A power cut may
//! leave any older mark, or none. Then one damage may cost the last flushed group, which nothing
//! later names, and never what a later frame or the mark proves.

mod cut;
mod harm;
mod left;
mod stage;

use kv_store::Error;

use self::{cut::Cut, harm::Harm, left::Choice, stage::Stage};
use crate::{
    coverage::{Coverage, Verb},
    engine::{Engine, difference},
    finding::{Findings, Verdict, Violation},
    going_on::{Later, go_on},
    spread::spread,
};

/// A damage with a mark.
#[derive(Clone, Debug)]
struct Case {
    cut: usize,
    harm: Harm,
    choice: Choice,
}

/// All cuts, and all that is looked at.
pub struct Marked {
    cuts: Vec<Cut>,
    /// First what is looked at in any case, then the rest in an order that follows from the seed.
    cases: Vec<Case>,
    core: usize,
}

/// The power cuts of one stage.
pub fn cuts_of(stage: &str, seed: u64) -> Verdict<Vec<Cut>> {
    let stage = Stage::all().into_iter().find(|other| other.name == stage);
    stage.map_or_else(|| Ok(Vec::new()), |stage| Cut::of(&stage, seed))
}

impl Marked {
    pub fn new(seed: u64) -> Verdict<Self> {
        let mut cuts = Vec::new();
        for stage in Stage::all() {
            cuts.extend(Cut::of(&stage, seed)?);
        }
        let (mut core, mut rest) = (Vec::new(), Vec::new());
        for (at, cut) in cuts.iter().enumerate() {
            let choices = cut.marks.choices();
            let case = |harm: &Harm, choice: &Choice| Case { cut: at, harm: harm.clone(), choice: choice.clone() };
            for harm in Harm::to_spans(&cut.image).into_iter().chain(Harm::to_headers(&cut.image)) {
                let beside = if harm.is_of_block() { choices.len() } else { BESIDE_SECTORS.min(choices.len()) };
                let mut cases = choices[..beside].iter().map(|choice| case(&harm, choice));
                if matches!(harm, Harm::Zeroed(_)) && harm.is_of_block() {
                    core.extend(cases.by_ref().take(1)); // as old as may be: what proves least
                }
                rest.extend(cases);
            }
            if cut.is_last {
                let bits = Harm::to_bits(&cut.image).enumerate();
                let beside = |number: usize| &choices[number % choices.len()];
                rest.extend(bits.flat_map(|(number, harm)| [case(&harm, &choices[0]), case(&harm, beside(number))]));
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

    /// What is looked at in any case.
    pub fn core(&self) -> u64 {
        self.core as u64
    }

    /// Looks at the first so many, of those for which `is_wanted` holds.
    pub fn look(&self, count: u64, is_wanted: impl Fn(u64) -> bool, findings: &Findings) -> String {
        let cases = &self.cases[..self.cases.len().min(count as usize)];
        let wanted: Vec<_> = (0..).zip(cases).filter(|(number, _)| is_wanted(*number)).collect();
        spread(&wanted, |(number, case)| {
            let cut = &self.cuts[case.cut];
            let verb = Verb::ALL[*number as usize % Verb::ALL.len()];
            findings.coverage.happened(cut.states, case.harm.fault());
            findings.look(&self.name(case), || judge(cut, case, verb, &findings.coverage));
        });
        if !findings.is_clean()
            && let Some(case) = wanted.iter().find_map(|(_, case)| self.fails(case).map(|_| *case))
        {
            self.print_simplest(case, findings);
        }
        format!("{} of {} damages with marks, at {} power cuts", cases.len(), self.cases.len(), self.cuts.len())
    }

    /// Looks at one of them again.
    pub fn replay(&self, text: &str, findings: &Findings) -> Option<()> {
        let (number, case) = (0..).zip(&self.cases).find(|(_, case)| self.name(case) == text)?;
        let verb = Verb::ALL[number % Verb::ALL.len()];
        findings.look(&text, || judge(&self.cuts[case.cut], case, verb, &findings.coverage));
        Some(())
    }

    fn name(&self, case: &Case) -> String {
        let cut = &self.cuts[case.cut];
        format!("mark@{}:{}:{}", cut.name, cut.marks.name(&case.choice), case.harm.name(&cut.image))
    }

    fn fails(&self, case: &Case) -> Option<Violation> {
        judge(&self.cuts[case.cut], case, Verb::Put, &Coverage::default()).err()
    }

    /// Of the cases of the same cut that fail, the one with the smallest damage and the mark that
    /// is nearest to the exact one.
    fn print_simplest(&self, case: &Case, findings: &Findings) {
        let cut = &self.cuts[case.cut];
        let mut candidates: Vec<_> = self.cases.iter().filter(|other| other.cut == case.cut).collect();
        candidates.retain(|other| other.harm.fault() == case.harm.fault() && other.harm.size() <= case.harm.size());
        candidates.sort_by_key(|other| (other.harm.size(), cut.marks.distance(&other.choice)));
        let simplest = candidates.into_iter().take(SIMPLER_MAX).find(|other| self.fails(other).is_some());
        findings.say_simplest(&self.name(simplest.unwrap_or(case)));
    }
}

/// With so many states of the mark damage to a single sector is combined, and to a block with all:
/// mostly a block has one sector in use.
const BESIDE_SECTORS: usize = 8;

/// So many cases are tried in search of the simplest that fails.
const SIMPLER_MAX: usize = 2000;

fn judge(cut: &Cut, case: &Case, verb: Verb, coverage: &Coverage) -> Verdict {
    let Case { harm, choice, .. } = case;
    let disk = cut.damaged(choice, harm);
    let engine = match Engine::open(&disk) {
        Ok(engine) => engine,
        Err(Error::Corrupt { .. } | Error::Unrecoverable(_)) => return Ok(()),
        Err(error) => return Err(Violation::wrong(format!("damage is answered by {error:?}"))),
    };
    let (position, floor) = (engine.store.recovery().position, cut.floor(choice, harm));
    if position < floor {
        let what = format!("position {floor} was proven to be durable, and the store is at {position}");
        return Err(Violation::loss(what));
    }
    let Some(expected) = cut.known.state_at(position) else {
        return Err(Violation::wrong(format!("position {position} was never written")));
    };
    match difference(&engine.store, expected) {
        Ok(None) => {
            coverage.met_by(verb, harm.fault());
            go_on(engine, &disk, &cut.known, verb, Later::TheLastGroup)
        }
        Ok(Some(difference)) => Err(Violation::loss(format!("at position {position}, {difference}"))),
        Err(Error::Corrupt { .. }) => Ok(()),
        Err(error) => Err(Violation::wrong(format!("damage is answered by {error:?}"))),
    }
}
