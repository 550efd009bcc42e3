//! All phases, one after the other, within a number of states.

use std::env;

use crate::{
    crashes::Recorded,
    damage::Damages,
    faults,
    finding::{Findings, Row, Verdict},
    space,
    spread::spread,
};

/// How many states a run looks at that is not told otherwise.
const STATES: u64 = 6_000;

/// Of all states, the phases that can be exhausted get these shares at most, in percent.
const DAMAGE_PERCENT: u64 = 30;
const FAULTS_PERCENT: u64 = 29;
const SPACE_PERCENT: u64 = 5;
/// Of the rest, what goes to damage in space that holds nothing; and what may go to it if that makes it complete.
const UNUSED_PERCENT: u64 = 10;
const UNUSED_PERCENT_MAX: u64 = 75;
/// Of the rest of that, what goes to crashes after a crash.
const AGAIN_PERCENT: u64 = 40;

const DAMAGE: &str = "damage";
const UNUSED: &str = "damage to unused space";

/// A campaign, as the environment wants it.
pub struct Campaign {
    states_max: u64,
    seed: u64,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Campaign {
    /// `KV_CRASH_STATES`, `KV_CRASH_SEED`: numbers, in decimal.
    pub fn from_env() -> Self {
        let number = |name: &str, default: u64| match env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")),
            Err(_) => default,
        };
        let (states_max, seed) = (number("KV_CRASH_STATES", STATES), number("KV_CRASH_SEED", 0));
        Self { states_max, seed, rows: Vec::new(), notes: Vec::new() }
    }

    /// Goes through all phases; prints how much was looked at.
    ///
    /// # Panics
    /// If anything is not as it must be.
    pub fn run(mut self) {
        let damages = self.damage();
        self.exhaust("every operation fails", FAULTS_PERCENT, faults::STATES_EACH, faults::cases, faults::Case::run);
        self.exhaust("every size of the disk", SPACE_PERCENT, space::STATES_EACH, space::cases, space::Case::run);
        if let Some(damages) = damages {
            self.damage_unused(&damages);
        }
        self.crash();
        self.print();
        assert!(self.rows.iter().all(Row::is_clean), "something is not as it must be: see above");
    }

    fn damage(&mut self) -> Option<Damages> {
        let (seed, states) = (self.seed, self.share(DAMAGE_PERCENT));
        let damages = self.phase(DAMAGE, |findings| {
            let damages = Damages::new(seed)?;
            let note = damages.harm_used(states, findings);
            Ok((damages, note))
        });
        let (damages, note) = damages?;
        self.notes.push(format!("{DAMAGE}: {note}"));
        Some(damages)
    }

    /// Where most states would be spent, and least is to be found: all, if the most part of what is left is enough, and otherwise a small part.
    fn damage_unused(&mut self, damages: &Damages) {
        let left = self.left();
        let is_enough = damages.unused() <= left * UNUSED_PERCENT_MAX / 100;
        let states = if is_enough { damages.unused() } else { left * UNUSED_PERCENT / 100 };
        let note = self.phase(UNUSED, |findings| Ok(damages.harm_unused(states, findings)));
        self.notes.extend(note.map(|note| format!("{UNUSED}: {note}")));
        self.notes.push(format!("of all damages, {}", damages.report()));
    }

    /// All cases, or as many as fit.
    fn exhaust<T: Sync>(
        &mut self,
        name: &'static str,
        percent: u64,
        states_each: u64,
        cases: fn(u64) -> Verdict<Vec<T>>,
        run: fn(&T, u64, &Findings),
    ) {
        let (seed, count) = (self.seed, (self.share(percent) / states_each) as usize);
        let note = self.phase(name, |findings| {
            let mut cases = cases(seed)?;
            let all = cases.len();
            if count < all {
                fastrand::Rng::with_seed(seed).shuffle(&mut cases);
                cases.truncate(count);
            }
            spread(&cases, |case| run(case, seed, findings));
            Ok(format!("{name}: {} of {all} runs", cases.len()))
        });
        self.notes.extend(note);
    }

    /// What is left goes to crashes.
    fn crash(&mut self) {
        let (seed, left) = (self.seed, self.left());
        let again = left * AGAIN_PERCENT / 100;
        let Some(recorded) = self.phase("reference workload", |_| Recorded::new(seed)) else { return };
        self.phase("crash after a crash", |findings| {
            recorded.crash_again(again, findings);
            Ok(())
        });
        let left = self.left();
        let count = self.phase("crash at every operation", |findings| Ok(recorded.crash(left, findings)));
        self.notes.extend(count.map(|count| format!("crash at every operation: {count}")));
    }

    fn share(&self, percent: u64) -> u64 {
        self.states_max * percent / 100
    }

    fn left(&self) -> u64 {
        self.states_max.saturating_sub(self.rows.iter().map(Row::states).sum())
    }

    fn phase<T>(&mut self, name: &'static str, run: impl FnOnce(&Findings) -> Verdict<T>) -> Option<T> {
        let findings = Findings::new(name, self.seed);
        let result = findings.run(&name, || run(&findings));
        self.rows.push(findings.into_row());
        result
    }

    #[expect(clippy::print_stdout, reason = "how much was looked at belongs to the result")]
    fn print(&self) {
        println!("\n{}", Row::HEADINGS);
        for row in &self.rows {
            println!("{row}");
        }
        println!("{}", Row::total(&self.rows));
        for note in &self.notes {
            println!("{note}");
        }
    }

    /// Looks at a single state again: a line such as `store@120:posix:only:17`.
    ///
    /// # Panics
    /// If there is no such state, or anything is not as it must be.
    pub fn replay(self, case: &str) {
        let seed = self.seed;
        let findings = Findings::new("replay", seed);
        let found = findings.run(&case, || {
            Ok(if let Ok(case) = case.parse::<faults::Case>() {
                case.run(seed, &findings);
                Some(())
            } else if let Ok(case) = case.parse::<space::Case>() {
                case.run(seed, &findings);
                Some(())
            } else if case.starts_with("store@") {
                Recorded::new(seed)?.replay(case, &findings)
            } else {
                Damages::new(seed)?.replay(case, &findings)
            })
        });
        assert!(found.flatten().is_some(), "there is no state {case:?} with the seed {seed}");
        assert!(findings.into_row().is_clean(), "it is still not as it must be");
    }
}
