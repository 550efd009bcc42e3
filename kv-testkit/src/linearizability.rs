//! Linearizability of recorded histories: whether what several threads saw of a store is consistent
//! with some sequential order.
//!
//! Each thread records its calls, and when they were made and answered on one shared clock. A
//! [`History`] is linearizable if each call can be assigned an instant between its invocation and
//! its return at which it takes effect, such that each answer is right for a single-threaded map.
//!
//! ```
//! use kv_testkit::linearizability::{Action, History, Part};
//!
//! let mut history = History::new();
//! let (mut writer, mut reader) = (history.thread(), history.thread());
//! let put = writer.invoke();
//! // Here the store is called.
//! writer.returned(&put, [Part::certain("k", Action::Put("1".into()))]);
//! let get = reader.invoke();
//! reader.returned(&get, [Part::certain("k", Action::Get(None))]); // a stale read
//! history.add(writer);
//! history.add(reader);
//! assert!(history.check().is_err());
//! ```
//!
//! A call whose outcome is unknown, or that never returned, is a [`maybe`](Part::maybe): it took
//! effect at some time after it was made, or never. A [crash](History::crash) ends that time: a
//! pending call took effect before the crash, or never will. So acknowledged writes and everything
//! that was once read must be there after a crash.
//!
//! The search is that of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993), with the
//! cache of visited states that Lowe added (*Testing for Linearizability*, 2017). Linearizability
//! is compositional (Herlihy and Wing), so keys are searched one by one, as Horn and Kroening do
//! (*Faster Linearizability Checking via P-Compositionality*, 2015). Each key's part of a batch is
//! a separate action; the atomicity of batches is not checked here.

mod search;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a call did with a key, and what it answered. `None` means an absent key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It read the value.
    Get(Option<Vec<u8>>),
    /// It set the value.
    Put(Vec<u8>),
    /// It deleted the key.
    Delete {
        /// Whether the answer says that the key existed; `None` if it does not say.
        existed: Option<bool>,
    },
    /// It compared and set.
    CompareAndSet {
        /// The expected value.
        expected: Option<Vec<u8>>,
        /// The new value.
        new: Option<Vec<u8>>,
        /// Whether it set the value; otherwise the value that it found.
        answer: Result<(), Option<Vec<u8>>>,
    },
}

/// What a call did with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    key: Vec<u8>,
    action: Action,
    is_certain: bool,
}

impl Part {
    /// The call was acknowledged or answered.
    pub fn certain(key: impl Into<Vec<u8>>, action: Action) -> Self {
        Self { key: key.into(), action, is_certain: true }
    }

    /// The call may have done this already, may do it later, or may never do it. A call that failed
    /// without effect has no part, and neither has a read that failed.
    pub fn maybe(key: impl Into<Vec<u8>>, action: Action) -> Self {
        Self { key: key.into(), action, is_certain: false }
    }
}

/// A part of a call, and when it can have taken effect.
#[derive(Clone, Debug)]
struct Call {
    part: Part,
    invoked: u64,
    /// When it returned; for a `maybe`, the next crash.
    until: u64,
}

/// The calls of all threads, over all incarnations of the store.
#[derive(Debug, Default)]
pub struct History {
    clock: Arc<AtomicU64>,
    calls: Vec<Call>,
}

/// The calls that one thread records.
#[derive(Debug)]
pub struct Thread {
    clock: Arc<AtomicU64>,
    calls: Vec<Call>,
}

/// The time at which a call was made.
#[derive(Debug)]
#[must_use = "a call is recorded when it has returned"]
pub struct Invoked(u64);

impl Thread {
    /// Notes that a call is made now.
    pub fn invoke(&self) -> Invoked {
        Invoked(self.clock.fetch_add(1, Ordering::SeqCst))
    }

    /// Notes that the call has returned now, or that its caller has stopped waiting, and what it
    /// did.
    pub fn returned(&mut self, call: &Invoked, parts: impl IntoIterator<Item = Part>) {
        let returned = self.clock.fetch_add(1, Ordering::SeqCst);
        let until = |part: &Part| if part.is_certain { returned } else { u64::MAX };
        self.calls.extend(parts.into_iter().map(|part| Call { invoked: call.0, until: until(&part), part }));
    }
}

impl History {
    /// A history without calls, of an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A recorder for one thread.
    pub fn thread(&self) -> Thread {
        Thread { clock: Arc::clone(&self.clock), calls: Vec::new() }
    }

    /// Adds the calls that a thread has recorded.
    pub fn add(&mut self, thread: Thread) {
        self.calls.extend(thread.calls);
    }

    /// Notes that the store crashed now, after everything that was added.
    pub fn crash(&mut self) {
        let now = self.clock.fetch_add(1, Ordering::SeqCst);
        for call in &mut self.calls {
            call.until = call.until.min(now);
        }
    }

    /// How many actions there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there are no actions.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Searches for an order in which everything can have happened.
    ///
    /// # Errors
    /// There is no such order for some key.
    pub fn check(&self) -> Result<(), Violation> {
        let mut keys: BTreeMap<&[u8], Vec<&Call>> = BTreeMap::new();
        for call in &self.calls {
            keys.entry(&call.part.key).or_default().push(call);
        }
        for (key, mut calls) in keys {
            calls.sort_by_key(|call| call.invoked);
            search::search(&calls).map_err(|(placed, state)| {
                let mark = |at: usize| if placed.contains(at) { ' ' } else { '?' };
                let line = |(at, call): (usize, &&Call)| format!("{} {call}", mark(at));
                Violation {
                    key: key.to_vec(),
                    state: state.map(<[u8]>::to_vec),
                    calls: calls.iter().enumerate().map(line).collect(),
                }
            })?;
        }
        Ok(())
    }
}

/// There is no order in which the calls on a key can have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key.
    pub key: Vec<u8>,
    /// Its value after the longest part of the history that can be ordered.
    pub state: Option<Vec<u8>>,
    /// Its calls, in the order of invocation. Those marked `?` could not be ordered.
    pub calls: Vec<String>,
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
        write!(f, "not linearizable: key {}, ", show(&self.key))?;
        writeln!(f, "which was {} where no further call fits", self.state.as_deref().map_or("absent".into(), show))?;
        // Calls long before or after this one explain nothing.
        let stuck = self.calls.iter().position(|call| call.starts_with('?')).unwrap_or_default();
        for call in self.calls.iter().skip(stuck.saturating_sub(20)).take(60) {
            writeln!(f, "  {call}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Vec<u8>>| value.as_ref().map_or("absent".into(), |v| v.escape_ascii().to_string());
        let until = if self.until == u64::MAX { String::new() } else { self.until.to_string() };
        write!(f, "{}..{until}{} ", self.invoked, if self.part.is_certain { "" } else { " maybe" })?;
        match &self.part.action {
            Action::Get(found) => write!(f, "get: {}", show(found)),
            Action::Put(value) => write!(f, "put {}", value.escape_ascii()),
            Action::Delete { existed: Some(existed) } => write!(f, "delete: {existed}"),
            Action::Delete { existed: None } => f.write_str("delete"),
            Action::CompareAndSet { expected, new, answer } => {
                write!(f, "compare {} and set {}: ", show(expected), show(new))?;
                f.write_str(&answer.as_ref().map_or_else(show, |()| "done".to_owned()))
            }
        }
    }
}
