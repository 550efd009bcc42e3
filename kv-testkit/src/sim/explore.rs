//! Going through the states that crashes may leave.

mod count;
mod failure;
mod panics;
mod shrink;
mod source;

use std::{
    env,
    num::NonZeroUsize,
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

pub use count::Count;

use self::{
    failure::{Cause, FailureReport},
    panics::catch,
    shrink::{FailingState, shrink},
    source::{Probe, Source},
};
use super::{CrashChoice, CrashModel, Moment, SimDisk};

/// How many states a thread takes at a time.
const STATES_TAKEN: usize = 16;

/// Goes through the states that crashes of a recorded workload may leave.
///
/// For each moment and model, all legal states are checked if there are at most 4,096 combinations
/// of outcomes. Otherwise the corner cases are checked (nothing and everything survives, every
/// prefix, each unit lost, each unit kept) and 1,000 samples that follow from the seed. If these
/// are more than `states_max` in total, that number is shared out: moments with fewer states leave
/// the rest to others, and "nothing" and "everything" come first. If they are fewer, further
/// samples use up the rest, where not all states were checked. Consecutive moments with the same
/// disk count as one. If several choices leave the same disk at a moment, in any of the models of
/// power cuts, only one of them is checked. So each counted state of a moment is a different disk.
///
/// One thread per core shares the work. Which states are checked does not depend on the number of
/// threads.
///
/// If a check panics, the exploration searches for a state that loses less and still panics at the
/// same line. It prints that state in the form that `KV_CRASH_REPLAY` accepts to check it alone;
/// for a crash after a crash it prints both.
#[derive(Clone, Debug)]
pub struct Exploration {
    states_max: u64,
    seed: u64,
    threads: usize,
    replay: Vec<Replay>,
    is_again: bool,
    /// The part that is checked, and the number of parts.
    part: (u64, u64),
}

/// A single state to check, of the workload with this name.
#[derive(Clone, Debug)]
struct Replay {
    name: String,
    operation: u64,
    choice: CrashChoice,
}

type Check<'a> = &'a (dyn Fn(&Moment, &CrashChoice, &SimDisk) + Sync);

impl Exploration {
    /// At most about `states_max` states. Samples follow from the seed.
    pub fn new(states_max: u64, seed: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { states_max, seed, threads, replay: Vec::new(), is_again: false, part: (1, 1) }
    }

    /// At most about `states_max` states, or `KV_CRASH_STATES` from the environment; seed 0, or
    /// `KV_CRASH_SEED`; only the state that `KV_CRASH_REPLAY` names, if it is set.
    ///
    /// # Panics
    /// If one of the variables cannot be parsed.
    pub fn from_env(states_max: u64) -> Self {
        let number = |name: &str| {
            let text = env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
        };
        let replay = env::var("KV_CRASH_REPLAY").map(|text| text.split(',').map(Replay::parse).collect());
        Self {
            replay: replay.unwrap_or_default(),
            ..Self::new(number("KV_CRASH_STATES").unwrap_or(states_max), number("KV_CRASH_SEED").unwrap_or(0))
        }
    }

    /// Uses this many threads.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// Checks one of `of` parts of the moments, counted from 1, with its share of the states. No
    /// two parts have a state in common, together they have all moments, and their counts add up,
    /// so a long exploration can be split over several runs.
    #[must_use]
    pub fn with_part(self, number: u64, of: u64) -> Self {
        Self { part: (number, of.max(1)), ..self }
    }

    /// The seed of the samples.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An exploration of second crashes, for about one in `one_in` of the states that the first
    /// crash leaves; each has at most about `states_max` states. For use inside a check; it runs on
    /// the check's thread.
    pub fn again(&self, moment: &Moment, choice: &CrashChoice, one_in: u64, states_max: u64) -> Option<Self> {
        let seed = choice.to_string().bytes().fold(self.seed ^ moment.operation, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let is_chosen = match self.replay.len() {
            0 | 1 => fastrand::Rng::with_seed(seed).u64(..one_in) == 0,
            _ => true,
        };
        is_chosen.then(|| Self {
            states_max,
            seed,
            threads: 1,
            replay: self.replay.clone(),
            is_again: true,
            part: (1, 1),
        })
    }

    /// Checks the states of the recording. `name` identifies the workload in messages.
    ///
    /// # Panics
    /// If the check panics.
    pub fn run(
        &self,
        name: &str,
        moments: &[Moment],
        models: &[CrashModel],
        check: &(dyn Fn(&Moment, &CrashChoice, &SimDisk) + Sync),
    ) -> Count {
        let mut count = Count::default();
        if let Some(replay) = self.replay.iter().find(|replay| replay.name == name) {
            let Replay { operation, choice, .. } = replay;
            let moment = moments.iter().find(|moment| moment.operation == *operation);
            let moment = moment.unwrap_or_else(|| panic!("there is no moment {operation}"));
            check(moment, choice, &moment.disk.crash(choice));
            count.note(choice);
            count.moments = 1;
            return count;
        }
        let source = Source::new(self.moments_of_part(moments), models, self.states_max / self.part.1, self.seed);
        let work = Work { source: Mutex::new(source), check };
        let mut failed = None;
        for (counted, found) in work.share(self.threads) {
            count.add(&counted);
            failed = [failed, found].into_iter().flatten().min_by_key(|(probe, _): &(Probe<'_>, _)| probe.at);
        }
        if let Some((probe, cause)) = failed {
            self.fail(explain(name, &probe, cause, check));
        }
        let source = work.source.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Source { moments, exhausted, sampled, .. } = source;
        Count { moments, exhausted, sampled, ..count }
    }

    fn moments_of_part<'a>(&self, moments: &'a [Moment]) -> impl Iterator<Item = &'a Moment> {
        let (number, of) = self.part;
        (0..).zip(source::distinct(moments)).filter(move |(at, _)| at % of == number - 1).map(|(_, moment)| moment)
    }

    fn fail(&self, failure: FailureReport) -> ! {
        if self.is_again {
            // The exploration of the first crash catches this and prints it.
            panic::resume_unwind(Box::new(failure));
        }
        panic!("{}", failure.display(self.seed));
    }
}

/// Shrinks a failure.
fn explain(name: &str, probe: &Probe<'_>, cause: Cause, check: Check<'_>) -> FailureReport {
    let Probe { moment, choice, .. } = probe;
    let panic = match cause {
        Cause::Again(failure) => return failure.after(name, moment, choice),
        Cause::Panic(panic) => panic,
    };
    let fails = |choice: &CrashChoice| {
        let caught = catch(|| check(moment, choice, &moment.disk.crash(choice))).err()?;
        match Cause::of(caught) {
            Cause::Panic(panic) => Some(panic),
            Cause::Again(_) => None,
        }
    };
    let shrunk = shrink(moment, FailingState { choice: choice.clone(), panic }, fails);
    FailureReport::new(name, moment, choice, &shrunk.choice, &shrunk.panic)
}

/// The states to check, shared by several threads.
struct Work<'a, 'b> {
    source: Mutex<Source<'a>>,
    check: Check<'b>,
}

/// What a thread has checked, and the first state that failed.
type ThreadResult<'a> = (Count, Option<(Probe<'a>, Cause)>);

impl<'a> Work<'a, '_> {
    fn share(&self, threads: usize) -> Vec<ThreadResult<'a>> {
        if threads == 1 {
            return vec![self.work()];
        }
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.work())).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, ThreadResult<'a>>| thread.join();
            threads.into_iter().map(join).map(|done| done.unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
        })
    }

    /// Works until nothing is left or a state has failed. States that were already handed out are
    /// still checked by their threads, so the first of all failing states is found.
    fn work(&self) -> ThreadResult<'a> {
        let mut count = Count::default();
        loop {
            let taken: Vec<_> = self.lock().by_ref().take(STATES_TAKEN).collect();
            if taken.is_empty() {
                return (count, None);
            }
            for probe in taken {
                if let Err(caught) = catch(|| (self.check)(probe.moment, &probe.choice, &probe.left)) {
                    self.lock().stop();
                    return (count, Some((probe, Cause::of(caught))));
                }
                count.note(&probe.choice);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Source<'a>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replay {
    fn parse(text: &str) -> Self {
        let parse = || {
            let (name, rest) = text.split_once('@')?;
            let (operation, choice) = rest.split_once(':')?;
            Some(Self { name: name.to_owned(), operation: operation.parse().ok()?, choice: choice.parse().ok()? })
        };
        parse().unwrap_or_else(|| panic!("KV_CRASH_REPLAY must look like store@120:posix:only:17, not {text:?}"))
    }
}
