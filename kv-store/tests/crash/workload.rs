//! Workloads: the steps that are applied to a store, and what they are made of.

use kv_store::Durability;
use kv_testkit::{Model, Operation, sim::CrashModel};

use crate::coverage::Verb;

/// One step of a workload.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A random action, which follows from the seed and from what the store holds then.
    Usual(u64),
    /// This verb, called so that it has something to do, if that is possible. The details follow
    /// from the seed.
    Verb(Verb, u64),
    /// Puts this key into two collections.
    Put(u8, Durability),
    Checkpoint,
    /// A checkpoint that waits half-way while a random action or a verb runs.
    CheckpointBeside(Option<Verb>, u64),
    /// A checkpoint that cannot create its file.
    FailedCheckpoint,
    /// Reopens the store, now and from then on with segments of these sizes in blocks: the first
    /// one, and the largest.
    Sizes(u64, u64),
    Reopen,
    Close,
    /// Kills the process, or cuts the power with survivors that follow from the seed; then reopens
    /// the store.
    Crash(CrashModel, u64),
    /// Cuts the power so that the log has a torn tail; then reopens the store.
    Tear,
    /// Damages the newest checkpoint while the store is closed; then reopens the store.
    Damage,
}

/// The reference workload: puts, overwrites, deletions, pops and drains, comparisons, batches and
/// transactions over three collections, two of which are dropped, created again, cleared and
/// renamed; at both durabilities, some of them deferred; feeds; background work now and then, so
/// that segments are also made on demand; checkpoints, one of which fails, and one during which a
/// write is made; clean closes and openings.
pub fn reference(seed: u64) -> Vec<Step> {
    let mut steps =
        rounds(seed, 55, &[Step::Checkpoint, Step::Reopen, Step::Checkpoint, Step::FailedCheckpoint, Step::Close]);
    let fifth = steps.len() / 5;
    steps.insert(2 * fifth - 5, Step::CheckpointBeside(None, seed));
    steps
}

/// The first writes after a crash, a checkpoint, and a clean end.
pub fn first_steps() -> Vec<Step> {
    rounds(7, 3, &[Step::Checkpoint, Step::Close])
}

/// The smallest workload with everything in it: two checkpoints, segments before and after them, a
/// tail that only the kernel has, and a clean end if `closed`.
pub fn small(closed: bool) -> Vec<Step> {
    let tail = (0..4).map(|key| Step::Put(key, if key < 2 { Durability::Disk } else { Durability::Process }));
    let end = closed.then_some(Step::Close);
    // In a segment of its own, so that there is something to trim.
    let large = Step::Put(LARGE, Durability::Disk);
    let rounds = [rounds(3, 8, &[Step::Checkpoint]), rounds(4, 8, &[large]), vec![Step::Checkpoint]].concat();
    [large].into_iter().chain(rounds).chain(tail).chain(end).collect()
}

/// The key whose value takes blocks of its own.
pub const LARGE: u8 = 99;

/// Mostly zeroes, so that few of its bytes have to be damaged one by one.
pub fn large_value() -> Vec<u8> {
    (0..6000).map(|at| u8::from(at % 500 == 7)).collect()
}

fn rounds(seed: u64, usual: u64, endings: &[Step]) -> Vec<Step> {
    let driver = |(part, ending): (u64, &Step)| {
        let first = seed.wrapping_add(part).wrapping_mul(1 << 32);
        (first..first + usual).map(Step::Usual).chain([*ending]).collect::<Vec<_>>()
    };
    (0..).zip(endings).flat_map(driver).collect()
}

/// Changes that are made together, and the verb that makes them.
#[derive(Clone, Debug)]
pub struct WriteCall {
    pub verb: Verb,
    pub operations: Vec<Operation>,
    pub durability: Durability,
}

/// The action of a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// A write that changes something.
    Write(WriteCall),
    /// A verb that looks before it writes, and finds nothing to do for this key.
    NoOp(Verb, &'static str, Vec<u8>),
    /// Reads the feed, from a position that follows from the seed.
    Feed(u64),
    Read,
    Sync,
    /// Waits for the deferred writes that were not waited for yet.
    Wait,
    /// Runs the jobs that were woken.
    Background,
}

impl Action {
    /// A random action, which follows from the seed.
    pub fn usual(seed: u64, model: &Model) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        match rng.u8(..44) {
            0 => Self::Sync,
            1..=4 => Self::Background,
            5 => Self::Wait,
            6 if model.collections().contains_key("b") => {
                Self::Write(WriteCall::new(vec![Operation::drop("b")], Durability::Disk, &mut rng, model))
            }
            6 => Self::Write(WriteCall::new(vec![Operation::create("b")], Durability::Disk, &mut rng, model)),
            7 => {
                let durability = durability(&mut rng);
                Self::Write(WriteCall::new(vec![change_name(model)], durability, &mut rng, model))
            }
            8 => Self::Feed(rng.u64(..)),
            9 => Self::no_op(MAY_BE_NO_OP[rng.usize(..MAY_BE_NO_OP.len())], model),
            41..=43 => {
                let verb = FROM_AN_END[rng.usize(..FROM_AN_END.len())];
                Self::from_an_end(verb, durability(&mut rng), model)
            }
            kind => {
                let len = if kind < 19 { rng.usize(2..6) } else { 1 };
                let durability = durability(&mut rng);
                let mut after = model.clone();
                let mut operations = Vec::new();
                if kind == 10 && model.collections().contains_key("b") {
                    operations.push(clear("b"));
                    after.apply(&operations[0]);
                }
                operations.extend((0..len).map(|_| change(&mut rng, &mut after)));
                Self::Write(WriteCall::new(operations, durability, &mut rng, model))
            }
        }
    }

    /// This verb, with changes that follow from the seed, if there is anything to change. `None`
    /// for verbs that open, close or checkpoint the store.
    pub fn of(verb: Verb, seed: u64, model: &Model) -> Option<Self> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let key = || vec![b'v', seed as u8];
        let put = || Operation::put("a", key(), vec![seed as u8; 30]);
        let has = |name: &str| model.collections().contains_key(name);
        let present = model.collections().get("a").and_then(|entries| entries.keys().next()).cloned();
        let delete = present.map(|key| Operation::delete("a", key));
        let operations = match verb {
            Verb::Put | Verb::PutDeferred | Verb::PutIfAbsent | Verb::Update | Verb::CompareAndSet => vec![put()],
            Verb::Delete | Verb::DeleteIfPresent | Verb::Take => match delete {
                Some(delete) => vec![delete],
                None => return Some(Self::no_op(verb, model)),
            },
            Verb::PopFirst | Verb::PopLast | Verb::Drain | Verb::DeleteRange | Verb::DeleteInSteps => {
                return Some(Self::from_an_end(verb, usual_durability(verb, seed, &mut rng), model));
            }
            Verb::Write | Verb::WriteDeferred | Verb::Transact | Verb::TransactDeferred => {
                [put()].into_iter().chain(delete).collect()
            }
            Verb::Create => vec![Operation::create("d")],
            Verb::Drop | Verb::Clear | Verb::Rename if !has("a") => return Some(Self::NoOp(verb, "a", Vec::new())),
            Verb::Drop => vec![Operation::drop("a")],
            Verb::Clear => vec![clear("a")],
            Verb::Rename => vec![Operation::Rename { collection: "a".to_owned(), to: "e".to_owned() }],
            Verb::Wait => return Some(Self::Wait),
            Verb::Read => return Some(Self::Read),
            Verb::Feed => return Some(Self::Feed(seed)),
            Verb::Sync => return Some(Self::Sync),
            Verb::Background => return Some(Self::Background),
            Verb::Open | Verb::Checkpoint | Verb::Close => return None,
        };
        let durability = usual_durability(verb, seed, &mut rng);
        Some(Self::Write(WriteCall { verb, operations, durability }))
    }

    /// Takes one entry or a few from an end of a collection, if it has any.
    fn from_an_end(verb: Verb, durability: Durability, model: &Model) -> Self {
        let Some(entries) = model.collections().get("a").filter(|entries| !entries.is_empty()) else {
            return Self::NoOp(verb, "a", b"nothing".to_vec());
        };
        let collection = "a".to_owned();
        let operations = match verb {
            Verb::PopFirst => vec![Operation::PopFirst { collection }],
            Verb::PopLast => vec![Operation::PopLast { collection }],
            _ => entries.keys().take(3).map(|key| Operation::delete("a", key.clone())).collect(),
        };
        Self::Write(WriteCall { verb, operations, durability })
    }

    fn no_op(verb: Verb, model: &Model) -> Self {
        let present = model.collections().get("a").and_then(|entries| entries.keys().next());
        match (verb, present) {
            (Verb::PutIfAbsent | Verb::CompareAndSet, Some(key)) => Self::NoOp(verb, "a", key.clone()),
            (Verb::PutIfAbsent | Verb::CompareAndSet, None) => Self::Read,
            _ => Self::NoOp(verb, "a", b"nothing".to_vec()),
        }
    }

    pub fn verb(&self) -> Verb {
        match self {
            Self::Write(change) => change.verb,
            Self::NoOp(verb, ..) => *verb,
            Self::Feed(_) => Verb::Feed,
            Self::Read => Verb::Read,
            Self::Sync => Verb::Sync,
            Self::Wait => Verb::Wait,
            Self::Background => Verb::Background,
        }
    }
}

/// Verbs that take entries from an end.
const FROM_AN_END: [Verb; 5] = [Verb::PopFirst, Verb::PopLast, Verb::Drain, Verb::DeleteRange, Verb::DeleteInSteps];

/// Verbs that may find nothing to do.
const MAY_BE_NO_OP: [Verb; 6] =
    [Verb::PutIfAbsent, Verb::CompareAndSet, Verb::Delete, Verb::DeleteIfPresent, Verb::Take, Verb::Update];

/// Verbs on whole collections. They use the store's durability.
pub fn is_on_collections(verb: Verb) -> bool {
    matches!(verb, Verb::Create | Verb::Drop | Verb::Clear | Verb::Rename)
}

impl WriteCall {
    /// Chooses one of the verbs that can make these changes.
    fn new(operations: Vec<Operation>, durability: Durability, rng: &mut fastrand::Rng, model: &Model) -> Self {
        let verbs = match &operations[..] {
            [Operation::Put { collection, key, .. }] if model.get(collection, key).is_none() => {
                &[Verb::Put, Verb::Put, Verb::PutDeferred, Verb::PutIfAbsent, Verb::Update, Verb::CompareAndSet][..]
            }
            [Operation::Put { .. }] => &[Verb::Put, Verb::Put, Verb::PutDeferred, Verb::Update, Verb::CompareAndSet],
            [Operation::Delete { .. }] => {
                &[Verb::Delete, Verb::DeleteIfPresent, Verb::Take, Verb::Update, Verb::CompareAndSet]
            }
            [Operation::Create { .. }] if durability == Durability::Disk => &[Verb::Create],
            [Operation::Drop { .. }] if durability == Durability::Disk => &[Verb::Drop],
            [Operation::Clear { .. }] if durability == Durability::Disk => &[Verb::Clear],
            [Operation::Rename { .. }] if durability == Durability::Disk => &[Verb::Rename],
            operations if operations.iter().all(is_of_key) => {
                &[Verb::Write, Verb::Write, Verb::WriteDeferred, Verb::Transact, Verb::TransactDeferred]
            }
            _ => &[Verb::Transact, Verb::Transact, Verb::TransactDeferred],
        };
        Self { verb: verbs[rng.usize(..verbs.len())], operations, durability }
    }
}

fn is_of_key(operation: &Operation) -> bool {
    matches!(operation, Operation::Put { .. } | Operation::Delete { .. })
}

/// Half of the seeds leave data that only the kernel has, so that the verb itself has something to
/// write.
fn usual_durability(verb: Verb, seed: u64, rng: &mut fastrand::Rng) -> Durability {
    if seed.is_multiple_of(2) || is_on_collections(verb) { Durability::Disk } else { durability(rng) }
}

fn durability(rng: &mut fastrand::Rng) -> Durability {
    if rng.u8(..5) < 2 { Durability::Disk } else { Durability::Process }
}

fn clear(collection: &str) -> Operation {
    Operation::Clear { collection: collection.to_owned() }
}

/// A change of names, with two collections.
fn change_name(model: &Model) -> Operation {
    let exists = |name| model.collections().contains_key(name);
    let rename = |from: &str, to: &str| Operation::Rename { collection: from.to_owned(), to: to.to_owned() };
    match (exists("b"), exists("c")) {
        (true, false) => rename("b", "c"),
        (false, true) => rename("c", "b"),
        (true, true) => Operation::drop("c"),
        (false, false) => Operation::create("c"),
    }
}

fn change(rng: &mut fastrand::Rng, model: &mut Model) -> Operation {
    let collection = if rng.u8(..3) == 0 { "b" } else { "a" };
    let key = vec![b'k', rng.u8(..12)];
    let is_there = model.get(collection, &key).is_some();
    let operation = if is_there && rng.u8(..3) == 0 {
        Operation::delete(collection, key)
    } else if is_there && rng.u8(..12) == 0 {
        let collection = collection.to_owned();
        if rng.bool() { Operation::PopFirst { collection } } else { Operation::PopLast { collection } }
    } else {
        let len = match rng.u8(..60) {
            0 => 18_000, // more than a usual segment holds
            1..=6 => rng.usize(..6000),
            _ => rng.usize(..200),
        };
        Operation::put(collection, key, vec![rng.u8(..); len])
    };
    model.apply(&operation);
    operation
}
