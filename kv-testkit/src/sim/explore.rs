use std::{collections::BTreeMap, env, fmt, thread};

use super::{CrashChoice, CrashModel, Moment, Pick, SimDisk};

/// States that are counted out where a crash has no more of them, by default.
const STATES_COUNTED_MAX: u64 = 4096;

/// Goes through the states that crashes may leave of a recorded workload.
///
/// Each model and moment gets an equal share of the states; one that has fewer leaves the rest to others.
/// Where a moment has more states than its share, nothing and everything that may survive are always among those that are looked at, and the rest
/// follows from the seed. When a check panics, the name, the moment and the choice are printed in the form that `KV_CRASH_REPLAY` takes to look at that
/// state alone; of a crash after a crash, both, to be given with a comma between them.
#[derive(Clone, Debug)]
pub struct Exploration {
    states_max: u64,
    seed: u64,
    replay: Vec<(String, u64, CrashChoice)>,
}

/// How many states were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Moments of the recording.
    pub moments: u64,
    /// States of all models.
    pub states: u64,
    /// By model and kind of pick.
    pub by_pick: BTreeMap<String, u64>,
}

impl Exploration {
    /// At most about `states_max` states, or `KV_CRASH_STATES` of the environment; a seed of 0, or `KV_CRASH_SEED`.
    ///
    /// # Panics
    /// If one of the variables cannot be understood.
    pub fn from_env(states_max: u64) -> Self {
        let number = |name: &str| {
            let text = env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
        };
        Self {
            states_max: number("KV_CRASH_STATES").unwrap_or(states_max),
            seed: number("KV_CRASH_SEED").unwrap_or(0),
            replay: env::var("KV_CRASH_REPLAY")
                .map(|text| text.split(',').map(parse_replay).collect())
                .unwrap_or_default(),
        }
    }

    /// The seed of what is not counted out.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// For a second crash after the first, in about one of so many states that the first one leaves: at most about `states_max` states for each.
    pub fn again(&self, moment: &Moment, choice: &CrashChoice, one_in: u64, states_max: u64) -> Option<Self> {
        let seed = choice.to_string().bytes().fold(self.seed ^ moment.operation, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let chosen = fastrand::Rng::with_seed(seed).u64(..one_in) == 0;
        chosen.then(|| Self { states_max, seed, replay: self.replay.clone() })
    }

    /// Looks at the states of the recording. `name` tells workloads apart in what is printed.
    pub fn run(
        &self,
        name: &str,
        moments: &[Moment],
        models: &[CrashModel],
        check: &mut dyn FnMut(&Moment, &CrashChoice, &SimDisk),
    ) -> Count {
        let mut count = Count { moments: moments.len() as u64, ..Count::default() };
        if let Some((_, operation, choice)) = self.replay.iter().find(|(of, ..)| of == name) {
            let moment = moments.iter().find(|moment| moment.operation == *operation);
            look_at(
                name,
                moment.unwrap_or_else(|| panic!("there is no moment {operation}")),
                choice,
                check,
                &mut count,
            );
            return count;
        }
        let mut work: Vec<_> =
            models.iter().flat_map(|model| moments.iter().map(move |moment| (*model, moment))).collect();
        let visits_max = usize::try_from(self.states_max / 2).unwrap_or(usize::MAX);
        if visits_max < work.len() {
            // Not even two states for each: some moments are left out.
            fastrand::Rng::with_seed(self.seed).shuffle(&mut work);
            work.truncate(visits_max);
        }
        for (at, (model, moment)) in work.iter().enumerate() {
            let share = self.states_max.saturating_sub(count.states) / (work.len() - at) as u64;
            for choice in self.choices(moment, *model, share) {
                look_at(name, moment, &choice, check, &mut count);
            }
        }
        count
    }

    fn choices(&self, moment: &Moment, model: CrashModel, share: u64) -> Vec<CrashChoice> {
        let seed = self.seed ^ moment.operation << 20;
        let mut choices = moment.disk.crash_states(model, share.min(STATES_COUNTED_MAX), seed);
        let share = share.max(2) as usize;
        if choices.len() > share {
            // Everything and nothing stay; of the others some are replaced by what has no pattern.
            let mut rng = fastrand::Rng::with_seed(seed);
            rng.shuffle(&mut choices[2..]);
            choices.truncate(share);
            for choice in choices[2..].iter_mut().step_by(3) {
                choice.pick = Pick::Sample(rng.u64(..1 << 32));
            }
        }
        choices
    }
}

fn parse_replay(text: &str) -> (String, u64, CrashChoice) {
    let parse = || {
        let (name, rest) = text.split_once('@')?;
        let (operation, choice) = rest.split_once(':')?;
        Some((name.to_owned(), operation.parse().ok()?, choice.parse().ok()?))
    };
    parse().unwrap_or_else(|| panic!("KV_CRASH_REPLAY is not such as store@120:posix:only:17: {text:?}"))
}

fn look_at(
    name: &str,
    moment: &Moment,
    choice: &CrashChoice,
    check: &mut dyn FnMut(&Moment, &CrashChoice, &SimDisk),
    count: &mut Count,
) {
    let _failing = Failing { name, moment, choice };
    check(moment, choice, &moment.disk.crash(choice));
    count.states += 1;
    *count.by_pick.entry(format!("{} {}", choice.model, kind(choice.pick))).or_default() += 1;
}

fn kind(pick: Pick) -> &'static str {
    match pick {
        Pick::Nothing => "nothing",
        Pick::Everything => "everything",
        Pick::Prefix(_) => "prefix",
        Pick::Without(_) => "without one",
        Pick::Only(_) => "only one",
        Pick::Numbered(_) => "counted out",
        Pick::Sample(_) => "sampled",
    }
}

/// Prints the state that is looked at, if the check panics.
struct Failing<'a> {
    name: &'a str,
    moment: &'a Moment,
    choice: &'a CrashChoice,
}

impl Drop for Failing<'_> {
    #[expect(clippy::print_stderr, reason = "a test that fails says where")]
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { name, moment, choice } = self;
            eprintln!("in the state KV_CRASH_REPLAY={name}@{}:{choice} (before: {})", moment.operation, moment.next);
        }
    }
}

impl Count {
    /// Counts the states of another exploration too.
    pub fn add(&mut self, other: &Self) {
        self.moments += other.moments;
        self.states += other.states;
        for (pick, count) in &other.by_pick {
            *self.by_pick.entry(pick.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states at {} moments", self.states, self.moments)?;
        for (pick, count) in &self.by_pick {
            write!(f, ", {pick}: {count}")?;
        }
        Ok(())
    }
}
