use std::collections::BTreeMap;

use kv_testkit::linearizability::{Action, History, Part};
use todc_utils::{Action as Event, History as Reference, Specification, WGLChecker};

/// One event of a small history. Calls are identified by number.
#[derive(Clone, Debug)]
enum Step {
    Invoke(usize),
    Return(usize, Action),
    /// It never returns.
    Lose(usize, Action),
    Crash,
}

/// All calls are for one key, unless `key` says otherwise.
fn checked(steps: &[Step], key: impl Fn(usize) -> &'static str) -> bool {
    let mut history = History::new();
    let mut thread = history.thread();
    let mut calls = BTreeMap::new();
    for step in steps {
        match step {
            Step::Invoke(call) => drop(calls.insert(call, thread.invoke())),
            Step::Return(call, action) => thread.returned(&calls[call], [Part::certain(key(*call), action.clone())]),
            Step::Lose(call, action) => thread.returned(&calls[call], [Part::maybe(key(*call), action.clone())]),
            Step::Crash => {
                history.add(std::mem::replace(&mut thread, history.thread()));
                history.crash();
            }
        }
    }
    history.add(thread);
    history.check().is_ok()
}

fn value(n: u8) -> Option<Vec<u8>> {
    Some(vec![n])
}

fn put(n: u8) -> Action {
    Action::Put(vec![n])
}

fn get(n: u8) -> Action {
    Action::Get(value(n))
}

fn compare_and_set(expected: Option<Vec<u8>>, new: u8, answer: Result<(), Option<Vec<u8>>>) -> Action {
    Action::CompareAndSet { expected, new: value(new), answer }
}

/// One call after the other.
fn serial(actions: &[Action]) -> Vec<Step> {
    let steps = |(call, action): (usize, &Action)| [Step::Invoke(call), Step::Return(call, action.clone())];
    actions.iter().enumerate().flat_map(steps).collect()
}

/// All calls at the same time.
fn concurrent(actions: &[Action]) -> Vec<Step> {
    let invoked = (0..actions.len()).map(Step::Invoke);
    invoked.chain(actions.iter().enumerate().map(|(call, action)| Step::Return(call, action.clone()))).collect()
}

fn is_legal(steps: &[Step]) -> bool {
    checked(steps, |_| "k")
}

#[test]
fn what_a_register_does_is_legal() {
    assert!(is_legal(&[]));
    let deleted = |existed| Action::Delete { existed: Some(existed) };
    assert!(is_legal(&serial(&[
        Action::Get(None),
        deleted(false),
        put(1),
        get(1),
        compare_and_set(value(1), 2, Ok(())),
        compare_and_set(value(1), 3, Err(value(2))),
        deleted(true),
        compare_and_set(None, 4, Ok(())),
        get(4),
        Action::Delete { existed: None },
        Action::Delete { existed: None },
        Action::Get(None),
    ])));
    assert!(is_legal(&concurrent(&[get(2), put(1), put(2), get(1)])));
}

#[test]
fn a_stale_read_is_illegal() {
    assert!(!is_legal(&serial(&[put(1), put(2), get(1)])));
    assert!(!is_legal(&serial(&[put(1), Action::Get(None)])));
    assert!(!is_legal(&serial(&[put(1), Action::Delete { existed: Some(true) }, get(1)])));
    // While a write is in progress: the new value, and then the old one.
    let during_a_write = |reads: &[Action]| {
        [serial(&[put(1)]), vec![Step::Invoke(9)], serial(reads), vec![Step::Return(9, put(2))]].concat()
    };
    assert!(!is_legal(&during_a_write(&[get(2), get(1)])));
    assert!(is_legal(&during_a_write(&[get(1), get(2)])));
}

#[test]
fn a_lost_update_is_illegal() {
    assert!(!is_legal(
        &[serial(&[put(0)]), concurrent(&[compare_and_set(value(0), 1, Ok(())), compare_and_set(value(0), 2, Ok(()))])]
            .concat()
    ));
    assert!(!is_legal(&concurrent(&[
        put(1),
        Action::Delete { existed: Some(true) },
        Action::Delete { existed: Some(true) }
    ])));
    assert!(!is_legal(&serial(&[put(0), compare_and_set(value(0), 1, Ok(())), get(0)])));
}

#[test]
fn two_cannot_both_create() {
    let create = |n| compare_and_set(None, n, Ok(()));
    assert!(!is_legal(&concurrent(&[create(1), create(2)])));
    assert!(is_legal(&concurrent(&[create(1), create(2), Action::Delete { existed: Some(true) }])));
    assert!(is_legal(&concurrent(&[create(1), compare_and_set(None, 2, Err(value(1)))])));
    assert!(!is_legal(&concurrent(&[create(1), compare_and_set(None, 2, Err(value(3)))])));
    assert!(!is_legal(&serial(&[put(1), compare_and_set(value(1), 2, Err(value(1)))])), "it found what it expected");
}

#[test]
fn what_a_failed_write_would_have_written_is_not_read() {
    // It failed without effect, so it is not in the history.
    assert!(!is_legal(&serial(&[put(1), get(2)])));
    // Its outcome is unknown, so it may be read, but it does not come and go.
    let lost = [Step::Invoke(8), Step::Lose(8, put(2))];
    let then = |actions: &[Action]| [serial(&[put(1)]), lost.to_vec(), serial(actions)].concat();
    assert!(is_legal(&then(&[get(1), get(1)])));
    assert!(is_legal(&then(&[get(1), get(2)])));
    assert!(!is_legal(&then(&[get(2), get(1)])));
    assert!(!is_legal(&then(&[get(1), get(2), put(3), get(2)])));
    assert!(!is_legal(&[lost.to_vec(), serial(&[get(2), Action::Delete { existed: Some(true) }, get(2)])].concat()));
}

#[test]
fn a_crash_ends_what_was_pending_and_keeps_what_was_acknowledged() {
    let lost = [Step::Invoke(8), Step::Lose(8, put(2)), Step::Crash];
    let then = |actions: &[Action]| [serial(&[put(1)]), lost.to_vec(), serial(actions)].concat();
    assert!(is_legal(&then(&[get(1), put(3), get(3)])));
    assert!(is_legal(&then(&[get(2), put(3), get(3)])));
    assert!(!is_legal(&then(&[get(1), get(2)])), "a value is resurrected after a crash");
    assert!(!is_legal(&then(&[Action::Get(None)])), "an acknowledged write is gone");
    let seen = [serial(&[put(1)]), vec![Step::Invoke(8)], serial(&[get(2)]), lost[1..].to_vec(), serial(&[get(1)])];
    assert!(!is_legal(&seen.concat()), "what was read is taken back by a crash");
}

/// There are more than six billion orders of these, but they lead to few states.
#[test]
fn a_visited_state_is_not_searched_again() {
    let mut calls: Vec<_> = (0..13).map(put).collect();
    calls.push(get(99));
    assert!(!is_legal(&concurrent(&calls)));
}

#[test]
fn keys_are_independent_and_a_batch_counts_for_all_of_its_keys() {
    let steps = serial(&[put(1), Action::Get(None), get(1)]);
    assert!(checked(&steps, |call| if call == 1 { "other" } else { "k" }));
    assert!(!checked(&steps, |_| "k"));

    let mut history = History::new();
    let mut thread = history.thread();
    let batch = thread.invoke();
    thread.returned(&batch, ["a", "b"].map(|key| Part::certain(key, put(1))));
    let read = thread.invoke();
    thread.returned(&read, [Part::certain("b", Action::Get(None))]);
    history.add(thread);
    assert_eq!((history.len(), history.is_empty()), (3, false));
    let violation = history.check().unwrap_err();
    assert_eq!(violation.key, b"b");
    let text = violation.to_string();
    assert!(text.contains("  0..1 put \\x01\n  ? 2..3 get: absent\n"), "{text}");
}

/// The same register, specified for the other checker.
struct Register;

impl Specification for Register {
    type State = Option<Vec<u8>>;
    type Operation = Action;

    fn init() -> Self::State {
        None
    }

    fn apply(action: &Action, state: &Self::State) -> (bool, Self::State) {
        let unchanged = |is_right| (is_right, state.clone());
        match action {
            Action::Get(found) => unchanged(found == state),
            Action::Put(value) => (true, Some(value.clone())),
            Action::Delete { existed: Some(true) } => (state.is_some(), None),
            Action::Delete { existed: None } => (true, None),
            Action::Delete { existed: Some(false) } => unchanged(state.is_none()),
            Action::CompareAndSet { expected, answer: Err(actual), .. } => {
                unchanged(actual == state && actual != expected)
            }
            Action::CompareAndSet { expected, new, .. } => (expected == state, new.clone()),
        }
    }
}

/// The verdict of the other checker, which knows neither crashes nor lost calls. Each lost call
/// returns at the next crash, or at the end, or was never made; some choice of these must be legal.
fn reference(steps: &[Step]) -> bool {
    let lost: Vec<usize> =
        steps.iter().filter_map(|s| if let Step::Lose(call, _) = s { Some(*call) } else { None }).collect();
    (0..1_u32 << lost.len()).any(|choice| {
        let is_dropped =
            |call: &usize| lost.iter().position(|other| other == call).is_some_and(|at| choice >> at & 1 == 1);
        let mut events = Vec::new();
        let mut open = Vec::new();
        for step in steps.iter().chain([&Step::Crash]) {
            match step {
                Step::Invoke(call) | Step::Return(call, _) | Step::Lose(call, _) if is_dropped(call) => {}
                Step::Invoke(call) => events.push((*call, Event::Call(Action::Get(None)))),
                Step::Return(call, action) => events.push((*call, Event::Response(action.clone()))),
                Step::Lose(call, action) => open.push((*call, Event::Response(action.clone()))),
                Step::Crash => events.append(&mut open),
            }
        }
        events.is_empty() || WGLChecker::<Register>::is_linearizable(Reference::from_actions(events))
    })
}

/// A history of up to eight calls by three threads, mostly correct, with up to three calls lost and
/// perhaps a crash.
fn random_history(rng: &mut fastrand::Rng) -> Vec<Step> {
    let (mut steps, mut state) = (Vec::new(), None);
    let mut running: Vec<(usize, Option<Action>)> = Vec::new();
    let (calls, mut invoked, mut lost) = (rng.usize(1..=8), 0, 0);
    while invoked < calls || !running.is_empty() {
        match rng.u8(..8) {
            0..3 if invoked < calls && running.len() < 3 => {
                running.push((invoked, None));
                steps.push(Step::Invoke(invoked));
                invoked += 1;
            }
            3..5 if !running.is_empty() => {
                let at = rng.usize(..running.len());
                running[at].1.get_or_insert_with(|| random_action(rng, &mut state));
            }
            5..7 if !running.is_empty() => {
                let (call, action) = running.swap_remove(rng.usize(..running.len()));
                if lost < 3 && rng.u8(..8) == 0 {
                    lost += 1;
                    let never = random_action(rng, &mut state.clone());
                    steps.push(Step::Lose(call, action.unwrap_or(never)));
                    continue;
                }
                let action = action.unwrap_or_else(|| random_action(rng, &mut state));
                steps.push(Step::Return(call, action));
            }
            7 if running.is_empty() => steps.push(Step::Crash),
            _ => {}
        }
    }
    steps
}

/// Applies a random action to the register, sometimes with a wrong answer.
fn random_action(rng: &mut fastrand::Rng, state: &mut Option<Vec<u8>>) -> Action {
    let random_value = |rng: &mut fastrand::Rng| if rng.u8(..4) == 0 { None } else { value(rng.u8(..3)) };
    let seen = if rng.u8(..5) == 0 { random_value(rng) } else { state.clone() };
    match rng.u8(..4) {
        0 => Action::Get(seen),
        1 => {
            *state = value(rng.u8(..3));
            Action::Put(state.clone().unwrap())
        }
        2 => {
            *state = None;
            Action::Delete { existed: Some(seen.is_some()) }
        }
        _ => {
            let (expected, new) = (random_value(rng), random_value(rng));
            if expected != seen {
                return Action::CompareAndSet { expected, new, answer: Err(seen) };
            }
            *state = new.clone();
            let answer = Ok(());
            Action::CompareAndSet { expected, new, answer }
        }
    }
}

#[test]
fn another_checker_agrees_on_small_histories() {
    let mut counts = BTreeMap::new();
    for seed in 0..20_000 {
        let steps = random_history(&mut fastrand::Rng::with_seed(seed));
        let is_legal = is_legal(&steps);
        assert_eq!(is_legal, reference(&steps), "seed {seed}: {steps:#?}");
        let has_lost = steps.iter().any(|step| matches!(step, Step::Lose(..)));
        *counts.entry((is_legal, has_lost)).or_insert(0) += 1;
    }
    // There are thousands of each kind, so that the agreement means something.
    assert!(counts.len() == 4 && counts.values().all(|count| *count > 2000), "{counts:?}");
}
