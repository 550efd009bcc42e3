//! Damage to every file of small stores: it is refused, or reported where it is met, or of no consequence.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU64, Ordering},
};

use kv_store::{Error, Lsn};
use kv_testkit::sim::{Damage, SimDisk};

use crate::{
    base::Base,
    case::{Case, Place},
    coverage::{Coverage, Fault, Verb},
    engine::{Engine, difference},
    finding::{Findings, Verdict, Violation},
    going_on::{Later, go_on},
    plan::Part,
    spread::spread,
};

/// What came of damages.
#[derive(Debug, Default)]
pub struct Outcomes {
    refused: AtomicU64,
    met: AtomicU64,
    cut: AtomicU64,
    /// The older checkpoint took the place of the newest.
    replaced: AtomicU64,
    harmless: AtomicU64,
    /// Of those that no read met, how many a verification finds.
    verified: AtomicU64,
}

impl Outcomes {
    fn report(&self) -> String {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} were refused at opening, {} reported by the read that met them, {} cost only a tail that was never flushed, the older checkpoint \
             stood in for {}, {} changed nothing; a verification finds {} of those that were not reported",
            count(&self.refused),
            count(&self.met),
            count(&self.cut),
            count(&self.replaced),
            count(&self.harmless),
            count(&self.verified)
        )
    }
}

/// Small stores, every damage to them, and what came of it.
pub struct Damages {
    bases: Vec<Base>,
    coarse: Vec<(usize, Case)>,
    /// Where there is anything.
    used: Vec<(usize, Place)>,
    /// In long runs of zeroes.
    unused: Vec<(usize, Place)>,
    outcomes: Outcomes,
}

impl Damages {
    /// In an order that follows from the seed, so that any number of them is a sample.
    pub fn new(seed: u64) -> Verdict<Self> {
        let small = Base::small(seed)?;
        let in_places = small.len();
        let bases: Vec<_> = small.into_iter().chain(Base::others(seed)?).collect();
        let (mut coarse, mut used, mut unused) = (Vec::new(), Vec::new(), Vec::new());
        for (of, base) in bases.iter().enumerate() {
            coarse.extend(Case::coarse(base).into_iter().map(|case| (of, case)));
            if of >= in_places {
                coarse.extend(Case::coarse_bits(base).map(|case| (of, case)));
                continue;
            }
            let places = Place::all(base);
            used.extend(places.0.into_iter().map(|place| (of, place)));
            unused.extend(places.1.into_iter().map(|place| (of, place)));
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        rng.shuffle(&mut coarse);
        rng.shuffle(&mut used);
        rng.shuffle(&mut unused);
        Ok(Self { bases, coarse, used, unused, outcomes: Outcomes::default() })
    }

    /// Damages sectors, files, and every bit and length where there is anything; about `states_max` of these.
    pub fn harm_used(&self, states_max: u64, part: Part, findings: &Findings) -> String {
        let wanted = (states_max / 2).max(states_max.saturating_sub(self.used.len() as u64 * Place::CASES));
        let coarse = &self.coarse[..self.coarse.len().min(wanted as usize)];
        spread(&part.of(coarse.iter().collect()), |(base, case)| self.look(*base, case, findings));
        let rest = states_max.saturating_sub(coarse.len() as u64) / Place::CASES;
        let places = &self.used[..self.used.len().min(rest as usize)];
        self.harm_places(places, part, findings);
        let (sectors, all_sectors) = (coarse.len(), self.coarse.len());
        format!(
            "{sectors} of {all_sectors} damages to sectors and files; {} of {} bytes",
            places.len(),
            self.used.len()
        )
    }

    /// How many damages there are to sectors, files, and where there is anything.
    pub fn used(&self) -> u64 {
        self.coarse.len() as u64 + self.used.len() as u64 * Place::CASES
    }

    /// How many damages there are to space that holds nothing.
    pub fn unused(&self) -> u64 {
        self.unused.len() as u64 * Place::CASES
    }

    /// Damages space that holds nothing, every bit and every length; about `states_max` of these.
    pub fn harm_unused(&self, states_max: u64, part: Part, findings: &Findings) -> String {
        let places = &self.unused[..self.unused.len().min((states_max / Place::CASES) as usize)];
        self.harm_places(places, part, findings);
        format!("{} of {} bytes", places.len(), self.unused.len())
    }

    fn harm_places(&self, places: &[(usize, Place)], part: Part, findings: &Findings) {
        spread(&part.of(places.to_vec()), |(base, place)| {
            place.cases().for_each(|case| self.look(*base, &case, findings));
        });
    }

    fn look(&self, base: usize, case: &Case, findings: &Findings) {
        let base = &self.bases[base];
        findings.coverage.happened(base.states, case.fault());
        let name = case.named(base).to_string();
        // There are few of these: each is met by every verb.
        let number = name.bytes().fold(0, |hash: usize, byte| (hash ^ usize::from(byte)).wrapping_mul(0x0100_0193));
        let verbs = match case.fault() {
            Fault::Missing | Fault::Older | Fault::Copied | Fault::Stale => Verb::ALL,
            _ => std::slice::from_ref(&Verb::ALL[(number >> 4) % Verb::ALL.len()]),
        };
        for verb in verbs {
            findings.look(&name, || self.judge(base, case, *verb, &findings.coverage));
        }
    }

    pub fn report(&self) -> String {
        self.outcomes.report()
    }

    /// Looks at one of them again.
    pub fn replay(&self, text: &str, findings: &Findings) -> Option<()> {
        let coarse = self.coarse.iter().cloned();
        let places = self.used.iter().chain(&self.unused);
        let mut all = coarse.chain(places.flat_map(|(base, place)| place.cases().map(|case| (*base, case))));
        let (base, case) = all.find(|(base, case)| case.named(&self.bases[*base]).to_string() == text)?;
        self.look(base, &case, findings);
        Some(())
    }

    fn judge(&self, base: &Base, case: &Case, verb: Verb, coverage: &Coverage) -> Verdict {
        let disk = base.damaged(case);
        let engine = match Engine::open(&disk) {
            Ok(engine) => engine,
            Err(error @ (Error::Corrupt { .. } | Error::Unrecoverable(_))) => {
                if is_of_newest_checkpoint(base, case) {
                    return Err(Violation::refusal("one damaged checkpoint locks out", &error));
                }
                check_names_file(base, case, &error)?;
                self.outcomes.refused.fetch_add(1, Ordering::Relaxed);
                check_unchanged(&disk)?;
                return check_verification(base, case, true).map(drop);
            }
            Err(error) => return Err(Violation::wrong(format!("damage is answered by {error:?}"))),
        };
        let position = engine.store.recovery().position;
        if position < base.promised {
            let what = format!("position {} was durable, and the store is at {position}", base.promised);
            return Err(Violation::loss(what));
        }
        let Some(expected) = base.known.state_at(position) else {
            return Err(Violation::wrong(format!("position {position} was never written")));
        };
        let is_met = match difference(&engine.store, expected) {
            Ok(None) => false,
            Ok(Some(difference)) => return Err(Violation::loss(difference)),
            Err(Error::Corrupt { .. }) => true,
            Err(error) => return Err(Violation::wrong(format!("damage is answered by {error:?}"))),
        };
        let is_replaced = !engine.store.recovery().bad_checkpoints.is_empty();
        if is_met {
            check_each(&engine, base, position)?;
        }
        let is_found = check_verification(base, case, is_met || is_replaced || is_never_unused(base, case))?;
        let outcome = match (is_met, position < base.known.last()) {
            (true, _) => &self.outcomes.met,
            (false, true) => &self.outcomes.cut,
            (false, false) if is_replaced => &self.outcomes.replaced,
            (false, false) => &self.outcomes.harmless,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        if !is_met && is_found {
            self.outcomes.verified.fetch_add(1, Ordering::Relaxed);
        }
        coverage.met_by(verb, case.fault());
        go_on(engine, &disk, &base.known, verb, Later::Nothing)
    }
}

/// No bit that flips makes a file go missing: the file that a refusal names is there. It need not be the damaged one: where the start of the log's last
/// segment is damaged, the log ends in the one before.
fn check_names_file(base: &Base, case: &Case, error: &Error) -> Verdict {
    match (case, error) {
        (Case::Harm(_, Damage::FlippedBit(_)), Error::Corrupt { place, .. })
            if !base.names.iter().any(|name| place.path().is_some_and(|file| file.ends_with(name))) =>
        {
            Err(Violation::wrong(format!("a file is named that was never missing: {error}")))
        }
        _ => Ok(()),
    }
}

/// Refusing changes nothing.
fn check_unchanged(disk: &SimDisk) -> Verdict {
    let trace = disk.take_trace();
    match trace.lines().find(|line| !line.starts_with("sync ") && !line.starts_with("create directory ")) {
        Some(line) => Err(Violation::wrong(format!("the store was changed and then refused: {line}"))),
        None => Ok(()),
    }
}

/// Each key by itself is right or reported.
fn check_each(engine: &Engine, base: &Base, position: Lsn) -> Verdict {
    let Some(expected) = base.known.state_at(position) else { return Ok(()) };
    for (name, entries) in expected.collections() {
        for (key, value) in entries {
            let found = engine.store.collection(name).and_then(|collection| collection.get(key));
            match found {
                Ok(Some(found)) if *found == **value => {}
                Err(Error::Corrupt { .. }) => {}
                found => return Err(Violation::loss(format!("{key:?} of {name} is {found:?}"))),
            }
        }
    }
    Ok(())
}

/// Whether a verification finds damage, which it must if `is_damaged`.
fn check_verification(base: &Base, case: &Case, is_damaged: bool) -> Verdict<bool> {
    let verification = kv_store::verify_in(base.damaged(case).vfs());
    if let (Case::Missing(file), Err(Error::Io { source, .. })) = (case, &verification)
        && (base.names[*file] == "FORMAT", base.known.last(), source.kind()) == (true, Lsn::START, ErrorKind::NotFound)
    {
        return Ok(true); // nothing was ever written: it is no store, and may become one
    }
    let verification = verification.map_err(|error| Violation::refusal("it cannot be verified", &error))?;
    if is_damaged && verification.damage.is_empty() {
        return Err(Violation::wrong("a verification finds nothing".to_owned()));
    }
    Ok(!verification.damage.is_empty())
}

/// Whether the older checkpoint, and the log back to it, stand in for what is damaged.
fn is_of_newest_checkpoint(base: &Base, case: &Case) -> bool {
    let (Case::Harm(file, _) | Case::Stale(file, ..) | Case::Missing(file) | Case::Older(file, _)) = case else {
        return false;
    };
    let is_newest = |kind| base.names.iter().rposition(|name| name.ends_with(kind)) == Some(*file);
    is_newest(".manifest") || is_newest(".part")
}

/// Whether every bit of the file counts, though no reader may touch it: checkpoints, also the older one, and what says that it is a store.
fn is_never_unused(base: &Base, case: &Case) -> bool {
    let Case::Harm(file, Damage::FlippedBit(_) | Damage::Cut(_)) = case else { return false };
    let name = &base.names[*file];
    name == "FORMAT" || name.ends_with(".part") || name.ends_with(".manifest")
}
