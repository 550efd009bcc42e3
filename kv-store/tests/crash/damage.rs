//! Damage to every file of small stores: it is refused, or reported where it is met, or of no consequence.

use std::sync::atomic::{AtomicU64, Ordering};

use kv_store::{Durability, Error};
use kv_testkit::sim::{CrashChoice, CrashModel, Damage, Pick, SimDisk};

use crate::{
    base::{Base, Case},
    engine::{Engine, difference},
    finding::{Findings, Verdict, Violation},
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
    /// In words.
    pub fn report(&self) -> String {
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

/// Both small stores, and what came of damages to them.
pub struct Damages {
    bases: [Base; 2],
    seed: u64,
    pub outcomes: Outcomes,
}

impl Damages {
    pub fn new(seed: u64) -> Verdict<Self> {
        Ok(Self {
            bases: [Base::new("closed", seed)?, Base::new("killed", seed)?],
            seed,
            outcomes: Outcomes::default(),
        })
    }

    /// All damages, the most telling first, and how many of them are not flips and cuts in long runs of zeroes.
    pub fn cases(&self) -> (Vec<(usize, Case)>, usize) {
        let (mut cases, mut last) = (Vec::new(), Vec::new());
        for (base, of) in self.bases.iter().enumerate() {
            let (used, unused) = of.fine();
            cases.extend(of.coarse().into_iter().chain(used).map(|case| (base, case)));
            last.extend(unused.into_iter().map(|case| (base, case)));
        }
        let used = cases.len();
        let mut rng = fastrand::Rng::with_seed(self.seed);
        rng.shuffle(&mut cases);
        rng.shuffle(&mut last);
        cases.append(&mut last);
        (cases, used)
    }

    pub fn run(&self, cases: &[(usize, Case)], findings: &Findings) {
        spread(cases, |(base, case)| {
            let base = &self.bases[*base];
            findings.look(&base.named(case), || self.judge(base, case));
        });
    }

    /// Looks at one of them again.
    pub fn replay(&self, text: &str, findings: &Findings) -> Option<()> {
        let base = self.bases.iter().find(|base| text.starts_with(base.name))?;
        let (used, unused) = base.fine();
        let all = base.coarse().into_iter().chain(used).chain(unused);
        let case = all.into_iter().find(|case| base.named(case).to_string() == text)?;
        findings.look(&text, || self.judge(base, &case)).or(Some(()))
    }

    fn judge(&self, base: &Base, case: &Case) -> Verdict {
        let disk = base.damaged(case);
        let engine = match Engine::open(&disk) {
            Ok(engine) => engine,
            Err(Error::Corrupt { .. } | Error::Unrecoverable(_)) => {
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
        if is_met { Ok(()) } else { go_on(engine, &disk, base) }
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
fn check_each(engine: &Engine, base: &Base, position: kv_store::Lsn) -> Verdict {
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
    let verification = verification.map_err(|error| Violation::refusal("it cannot be verified", &error))?;
    if is_damaged && verification.damage.is_empty() {
        return Err(Violation::wrong("a verification finds nothing".to_owned()));
    }
    Ok(!verification.damage.is_empty())
}

/// Whether every bit of the file counts, though no reader may touch it: checkpoints, also the older one, and what says that it is a store.
fn is_never_unused(base: &Base, case: &Case) -> bool {
    let Case::Harm(file, Damage::FlippedBit(_) | Damage::Cut(_)) = case else { return false };
    let name = &base.names[*file];
    name == "FORMAT" || name.ends_with(".part") || name.ends_with(".manifest")
}

/// What opens can be written to, and what is acknowledged then is there after the next crash.
fn go_on(engine: Engine, disk: &SimDisk, base: &Base) -> Verdict {
    let position = engine.store.recovery().position;
    let put = |engine: &Engine| {
        engine.store.collection("a").and_then(|a| a.with_durability(Durability::Disk).put("new", "value"))
    };
    put(&engine).map_err(|error| Violation::refusal("it opens, and takes no write", &error))?;
    let left = disk.crash(&CrashChoice { model: CrashModel::Posix, pick: Pick::Nothing });
    drop(engine);
    let engine = Engine::open(&left).map_err(|error| Violation::refusal("locked out later", &error))?;
    let mut expected = base.known.state_at(position).cloned().unwrap_or_default();
    expected.apply(&kv_testkit::Operation::put("a", "new", "value"));
    match difference(&engine.store, &expected) {
        Ok(None) | Err(Error::Corrupt { .. }) => Ok(()),
        Ok(Some(difference)) => Err(Violation::loss(format!("later {difference}"))),
        Err(error) => Err(Violation::wrong(format!("damage is answered by {error:?}"))),
    }
}
