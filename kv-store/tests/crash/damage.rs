//! Damage to every file of small stores: the store refuses to open, the read that meets the damage
//! reports it, or it is harmless.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    sync::atomic::{AtomicU64, Ordering},
};

use kv_store::{Error, Lsn, Reader};
use kv_testkit::sim::{Damage, SimDisk};

use crate::{
    coverage::{Coverage, FaultKind, Verb},
    damage_case::{DamageCase, Place},
    engine::{Engine, difference},
    findings::{Findings, Verdict, Violation},
    fixture::Fixture,
    parallel::for_each_in_parallel,
    plan::RunPart,
    use_after_damage::{MayLose, use_and_crash},
};

/// The outcomes of damage.
#[derive(Debug, Default)]
pub struct Outcomes {
    refused: AtomicU64,
    met: AtomicU64,
    cut: AtomicU64,
    /// The older checkpoint replaced the newest.
    replaced: AtomicU64,
    harmless: AtomicU64,
    /// How much of the damage that no read met was found by a verification.
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

/// Small stores, all damage to them, and the outcomes.
pub struct Damages {
    fixtures: Vec<Fixture>,
    coarse: Vec<(usize, DamageCase)>,
    /// Places in use.
    used: Vec<(usize, Place)>,
    /// Places in long runs of zeroes.
    unused: Vec<(usize, Place)>,
    outcomes: Outcomes,
}

impl Damages {
    /// Makes the stores, and lists all damage to them in an order that follows from the seed. So
    /// any prefix of the list is a sample.
    pub fn new(seed: u64) -> Verdict<Self> {
        let small = Fixture::small(seed)?;
        let in_places = small.len();
        let fixtures: Vec<_> = small.into_iter().chain(Fixture::others(seed)?).collect();
        let (mut coarse, mut used, mut unused) = (Vec::new(), Vec::new(), Vec::new());
        for (of, fixture) in fixtures.iter().enumerate() {
            coarse.extend(DamageCase::coarse(fixture).into_iter().map(|case| (of, case)));
            if of >= in_places {
                coarse.extend(DamageCase::coarse_bits(fixture).map(|case| (of, case)));
                continue;
            }
            let places = Place::all(fixture);
            used.extend(places.0.into_iter().map(|place| (of, place)));
            unused.extend(places.1.into_iter().map(|place| (of, place)));
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        rng.shuffle(&mut coarse);
        rng.shuffle(&mut used);
        rng.shuffle(&mut unused);
        Ok(Self { fixtures, coarse, used, unused, outcomes: Outcomes::default() })
    }

    /// Damages sectors and files, and every bit and length of the bytes in use; about `states_max`
    /// cases.
    pub fn damage_used(&self, states_max: u64, part: RunPart, findings: &Findings) -> String {
        let wanted = (states_max / 2).max(states_max.saturating_sub(self.used.len() as u64 * Place::CASES));
        let coarse = &self.coarse[..self.coarse.len().min(wanted as usize)];
        for_each_in_parallel(&part.of(coarse.iter().collect()), |(fixture, case)| {
            self.examine(*fixture, case, findings);
        });
        let rest = states_max.saturating_sub(coarse.len() as u64) / Place::CASES;
        let places = &self.used[..self.used.len().min(rest as usize)];
        self.damage_places(places, part, findings);
        let (sectors, all_sectors) = (coarse.len(), self.coarse.len());
        format!(
            "{sectors} of {all_sectors} damages to sectors and files; {} of {} bytes",
            places.len(),
            self.used.len()
        )
    }

    /// How many cases there are for sectors, files and bytes in use.
    pub fn used(&self) -> u64 {
        self.coarse.len() as u64 + self.used.len() as u64 * Place::CASES
    }

    /// How many cases there are for unused space.
    pub fn unused(&self) -> u64 {
        self.unused.len() as u64 * Place::CASES
    }

    /// Damages unused space, every bit and every length; about `states_max` cases.
    pub fn damage_unused(&self, states_max: u64, part: RunPart, findings: &Findings) -> String {
        let places = &self.unused[..self.unused.len().min((states_max / Place::CASES) as usize)];
        self.damage_places(places, part, findings);
        format!("{} of {} bytes", places.len(), self.unused.len())
    }

    fn damage_places(&self, places: &[(usize, Place)], part: RunPart, findings: &Findings) {
        for_each_in_parallel(&part.of(places.to_vec()), |(fixture, place)| {
            place.cases().for_each(|case| self.examine(*fixture, &case, findings));
        });
    }

    fn examine(&self, fixture: usize, case: &DamageCase, findings: &Findings) {
        let fixture = &self.fixtures[fixture];
        findings.coverage.happened(fixture.states, case.fault());
        let name = case.named(fixture).to_string();
        for (verb, reader) in uses(fixture, case, &name) {
            findings.examine(&name, || self.check(fixture, case, verb, reader, &findings.coverage));
        }
    }

    /// Which kinds of damage to parts are met by which reader.
    pub fn readers(&self) -> BTreeSet<(FaultKind, bool)> {
        let places = self.used.iter().flat_map(|(fixture, place)| place.cases().map(|case| (*fixture, case)));
        let cases = self.coarse.iter().cloned().chain(places);
        let of_parts = cases.filter(|(fixture, case)| is_in_part(&self.fixtures[*fixture], case));
        let readers = of_parts.flat_map(|(fixture, case)| {
            let fixture = &self.fixtures[fixture];
            uses(fixture, &case, &case.named(fixture).to_string())
                .map(|(_, reader)| (case.fault(), reader != Reader::Mapped))
                .collect::<Vec<_>>()
        });
        readers.collect()
    }

    pub fn report(&self) -> String {
        self.outcomes.report()
    }

    /// Checks one case again.
    pub fn replay(&self, text: &str, findings: &Findings) -> Option<()> {
        let coarse = self.coarse.iter().cloned();
        let places = self.used.iter().chain(&self.unused);
        let mut all = coarse.chain(places.flat_map(|(fixture, place)| place.cases().map(|case| (*fixture, case))));
        let (fixture, case) = all.find(|(fixture, case)| case.named(&self.fixtures[*fixture]).to_string() == text)?;
        self.examine(fixture, &case, findings);
        Some(())
    }

    fn check(&self, fixture: &Fixture, case: &DamageCase, verb: Verb, reader: Reader, coverage: &Coverage) -> Verdict {
        let disk = fixture.damaged(case);
        let engine = match Engine::open_reading(&disk, reader) {
            Ok(engine) => engine,
            Err(error @ (Error::Corrupt { .. } | Error::Unrecoverable(_))) => {
                if is_of_newest_checkpoint(fixture, case) {
                    return Err(Violation::refusal("one damaged checkpoint keeps the store from opening", &error));
                }
                check_names_file(fixture, case, &error)?;
                self.outcomes.refused.fetch_add(1, Ordering::Relaxed);
                check_unchanged(&disk)?;
                return check_verification(fixture, case, true).map(drop);
            }
            Err(error) => return Err(Violation::wrong(format!("damage gave the wrong error: {error:?}"))),
        };
        let position = engine.store.recovery().position;
        if position < fixture.promised {
            let what = format!("position {} was durable, and the store is at {position}", fixture.promised);
            return Err(Violation::loss(what));
        }
        let Some(expected) = fixture.oracle.state_at(position) else {
            return Err(Violation::wrong(format!("position {position} was never written")));
        };
        let is_met = match difference(&engine.store, expected) {
            Ok(None) => false,
            Ok(Some(difference)) => return Err(Violation::loss(difference)),
            Err(Error::Corrupt { .. }) => true,
            Err(error) => return Err(Violation::wrong(format!("damage gave the wrong error: {error:?}"))),
        };
        let is_replaced = !engine.store.recovery().bad_checkpoints.is_empty();
        if is_met {
            check_each(&engine, fixture, position)?;
        }
        let is_found = check_verification(fixture, case, is_met || is_replaced || is_never_unused(fixture, case))?;
        let outcome = match (is_met, position < fixture.oracle.last()) {
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
        use_and_crash(engine, &disk, &fixture.oracle, verb, MayLose::Nothing)
    }
}

/// A flipped bit makes no file go missing, so the file that a refusal names must exist. It need not
/// be the damaged one: if the start of the log's last segment is damaged, the log ends in the one
/// before.
fn check_names_file(fixture: &Fixture, case: &DamageCase, error: &Error) -> Verdict {
    match (case, error) {
        (DamageCase::InPlace(_, Damage::FlippedBit(_)), Error::Corrupt { place, .. })
            if !fixture.names.iter().any(|name| place.path().is_some_and(|file| file.ends_with(name))) =>
        {
            Err(Violation::wrong(format!("a file is named that was never missing: {error}")))
        }
        _ => Ok(()),
    }
}

/// A refusal changes nothing.
fn check_unchanged(disk: &SimDisk) -> Verdict {
    let trace = disk.take_trace();
    match trace.lines().find(|line| !line.starts_with("sync ") && !line.starts_with("create directory ")) {
        Some(line) => Err(Violation::wrong(format!("the store was changed and then refused: {line}"))),
        None => Ok(()),
    }
}

/// Each key is right or reported as damaged.
fn check_each(engine: &Engine, fixture: &Fixture, position: Lsn) -> Verdict {
    let Some(expected) = fixture.oracle.state_at(position) else { return Ok(()) };
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

/// Returns whether a verification finds damage. If `is_damaged`, it must.
fn check_verification(fixture: &Fixture, case: &DamageCase, is_damaged: bool) -> Verdict<bool> {
    let verification = kv_store::verify_in(fixture.damaged(case).vfs());
    if let (DamageCase::Missing(file), Err(Error::Io { source, .. })) = (case, &verification)
        && (fixture.names[*file] == "FORMAT", fixture.oracle.last(), source.kind())
            == (true, Lsn::START, ErrorKind::NotFound)
    {
        return Ok(true); // nothing was ever written: without FORMAT this is a directory that may become a store
    }
    let verification = verification.map_err(|error| Violation::refusal("the store cannot be verified", &error))?;
    if is_damaged && verification.damage.is_empty() {
        return Err(Violation::wrong("a verification finds nothing".to_owned()));
    }
    Ok(!verification.damage.is_empty())
}

/// Whether the older checkpoint, and the log back to it, can replace what is damaged.
fn is_of_newest_checkpoint(fixture: &Fixture, case: &DamageCase) -> bool {
    let Some(file) = case.damaged_file() else { return false };
    let is_newest = |kind| fixture.names.iter().rposition(|name| name.ends_with(kind)) == Some(file);
    is_newest(".manifest") || is_newest(".part")
}

/// The verbs that are tried after this damage, each with the reader of the opening. The two readers
/// take turns if the damage is in a part.
fn uses(fixture: &Fixture, case: &DamageCase, name: &str) -> impl Iterator<Item = (Verb, Reader)> {
    let number = name.bytes().fold(0, |hash: usize, byte| (hash ^ usize::from(byte)).wrapping_mul(0x0100_0193));
    // There are few of these, so every verb is tried after each.
    let verbs = match case.fault() {
        FaultKind::Missing | FaultKind::Older | FaultKind::Copied | FaultKind::Stale => Verb::ALL,
        _ => std::slice::from_ref(&Verb::ALL[(number >> 4) % Verb::ALL.len()]),
    };
    let is_in_part = is_in_part(fixture, case);
    verbs.iter().map(move |verb| {
        let is_mapped = !is_in_part || number.wrapping_add(*verb as usize).is_multiple_of(2);
        (*verb, if is_mapped { Reader::Mapped } else { Reader::Pread { cache_bytes: 100_000 } })
    })
}

fn is_in_part(fixture: &Fixture, case: &DamageCase) -> bool {
    case.damaged_file().is_some_and(|file| fixture.names[file].ends_with(".part"))
}

/// Whether every bit of the file counts, even if no reader touches it: the files of both
/// checkpoints, and FORMAT.
fn is_never_unused(fixture: &Fixture, case: &DamageCase) -> bool {
    let DamageCase::InPlace(file, Damage::FlippedBit(_) | Damage::Cut(_)) = case else { return false };
    let name = &fixture.names[*file];
    name == "FORMAT" || name.ends_with(".part") || name.ends_with(".manifest")
}
