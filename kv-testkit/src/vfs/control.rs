use std::{
    fmt, io, mem,
    path::Path,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use kv_vfs::{Error, Result};

use super::{Event, Fault, Kind, fault::FaultEffect};

/// The state that all files and directories of a [`TestVfs`](super::TestVfs) share.
#[derive(Debug, Default)]
pub(super) struct Control {
    faults: Mutex<Vec<Fault>>,
    failures: AtomicU64,
    counts: [AtomicU64; Kind::Map as usize + 1],
    trace: Mutex<String>,
    random: Mutex<fastrand::Rng>,
    before: Before,
    /// Locked for reading during every operation, and for writing while all are halted.
    halt: RwLock<()>,
}

/// What is called before each operation.
struct Before(Box<dyn Fn(&Event) + Send + Sync>);

impl Default for Before {
    fn default() -> Self {
        Self(Box::new(|_| ()))
    }
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Before")
    }
}

impl Control {
    pub fn with_seed(seed: u64) -> Self {
        Self { random: Mutex::new(fastrand::Rng::with_seed(seed)), ..Self::default() }
    }

    /// Calls a function before each operation.
    pub fn calling(self, before: Box<dyn Fn(&Event) + Send + Sync>) -> Self {
        Self { before: Before(before), ..self }
    }

    pub fn fail(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize].load(Ordering::Relaxed)
    }

    pub fn take_trace(&self) -> String {
        mem::take(&mut *self.trace.lock().unwrap())
    }

    pub fn random(&self) -> u128 {
        self.random.lock().unwrap().u128(..)
    }

    /// Runs `run` while no operation is in progress.
    pub fn while_halted<T>(&self, run: impl FnOnce() -> T) -> T {
        let _nothing_moves = self.halt.write().unwrap();
        run()
    }

    pub fn run<T>(&self, event: &Event, path: &Path, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.run_or_tear(event, path, run, || Ok(()))
    }

    pub fn run_or_tear<T>(
        &self,
        event: &Event,
        path: &Path,
        run: impl FnOnce() -> Result<T>,
        tear: impl FnOnce() -> Result<()>,
    ) -> Result<T> {
        (self.before.0)(event);
        let _not_halted = self.halt.read().unwrap();
        self.counts[event.kind as usize].fetch_add(1, Ordering::Relaxed);
        let failure = self.faults.lock().unwrap().iter_mut().find_map(|fault| fault.meet(event));
        let failure = failure.filter(|failure| !failure.is_repeated(event.kind));
        let Some(failure) = failure else {
            let result = run();
            self.note(event, if result.is_ok() { "" } else { " failed" });
            return result;
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let torn = failure.effect == FaultEffect::Tears;
        self.note(event, if torn { " torn" } else { " failed" });
        if torn {
            tear()?;
        }
        Err(Error::new(event.kind.verb(), path, injected(failure.error)))
    }

    fn note(&self, event: &Event, outcome: &str) {
        if event.kind.changes() {
            self.trace.lock().unwrap().push_str(&format!("{event}{outcome}\n"));
        }
    }
}

/// The error of an operation that a test makes fail. [`io::ErrorKind::Other`] stands for EIO, which
/// has no kind of its own.
pub(crate) fn injected(kind: io::ErrorKind) -> io::Error {
    match kind {
        io::ErrorKind::Other => io::Error::from_raw_os_error(libc::EIO),
        kind => io::Error::new(kind, InjectedError),
    }
}

#[derive(Debug)]
struct InjectedError;

impl fmt::Display for InjectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a failure injected by a test")
    }
}

impl std::error::Error for InjectedError {}
