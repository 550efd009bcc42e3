use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    choice::{CrashChoice, CrashModel, Survivors},
    crash, outcomes,
    state::{NodeId, State},
    units::Units,
};
use crate::vfs::Fault;

/// How many losses a failure message lists.
const LOSSES_PRINTED_MAX: usize = 8;

/// A disk in memory that crashes, fails, lies, fills up and rots. Clones share the same disk. See
/// the [module](super).
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<Inner>>,
}

pub(super) struct Inner {
    pub state: State,
    pub faults: Vec<Fault>,
    pub failures: u64,
    pub operations: u64,
    pub stop_at: u64,
    pub lies: bool,
    pub random: fastrand::Rng,
    pub trace: String,
    pub recording: Option<Vec<Moment>>,
    pub locks: BTreeSet<(NodeId, String)>,
}

/// A disk as it was before one of the operations that changed it; see [`SimDisk::record`].
#[derive(Clone, Debug)]
pub struct Moment {
    /// The operation's number, which is how many operations came before it.
    pub operation: u64,
    /// The operation that comes next; empty at the end of the recording.
    pub next: String,
    /// A copy of the disk.
    pub disk: SimDisk,
}

impl SimDisk {
    /// An empty disk. [`random`](kv_vfs::Vfs::random) answers from the seed.
    pub fn new(seed: u64) -> Self {
        Self::with_state(State::new(), fastrand::Rng::with_seed(seed))
    }

    fn with_state(state: State, random: fastrand::Rng) -> Self {
        let inner = Inner {
            state,
            faults: Vec::new(),
            failures: 0,
            operations: 0,
            stop_at: u64::MAX,
            lies: false,
            random,
            trace: String::new(),
            recording: None,
            locks: BTreeSet::new(),
        };
        Self { shared: Arc::new(Mutex::new(inner)) }
    }

    /// The disk after a crash at this instant. This one goes on as if nothing had happened: open
    /// files stay open, and changes to one disk do not show on the other. The returned disk has no
    /// locks, no faults, no stop and no limit of space.
    #[must_use = "the crash happens to the disk that is returned"]
    pub fn crash(&self, choice: &CrashChoice) -> Self {
        let inner = self.lock();
        let units = Units::of(&inner.state, choice.model);
        inner.crash(&units, &choice.survivors)
    }

    /// The disk after the process was killed at this instant. Nothing is lost.
    #[must_use = "the crash happens to the disk that is returned"]
    pub fn killed(&self) -> Self {
        self.crash(&CrashChoice { model: CrashModel::Killed, survivors: Survivors::Everything })
    }

    /// The disk after one of many power cuts, for harnesses of suites that cut the power again and
    /// again. The models take turns; every other cut loses everything that was not synced, and the
    /// rest keep a random sample of it.
    #[must_use = "the crash happens to the disk that is returned"]
    pub fn power_cut(&self, number: u64) -> Self {
        let model = [CrashModel::Posix, CrashModel::Ext4, CrashModel::Xfs][(number / 2 % 3) as usize];
        let survivors = if number % 2 == 1 { Survivors::Nothing } else { Survivors::Sample(number) };
        self.crash(&CrashChoice { model, survivors })
    }

    /// The crash states to check at this instant: all of them if there are at most `limit`.
    /// Otherwise the corner cases (nothing, everything, each prefix, each unit lost, each unit
    /// kept) and `limit / 4` samples that follow from the seed. Different choices may leave the
    /// same disk.
    pub fn crash_states(&self, model: CrashModel, limit: u64, seed: u64) -> Vec<CrashChoice> {
        let units = self.units(model);
        let mut rng = fastrand::Rng::with_seed(seed);
        let candidates: Vec<_> = match units.count() {
            Some(count) if count <= limit.max(1) => (0..count).map(Survivors::Numbered).collect(),
            _ => {
                let samples = (0..limit / 4).map(|_| Survivors::Sample(rng.u64(..1 << 32)));
                outcomes::corner_cases(&units).chain(samples).collect()
            }
        };
        candidates.into_iter().map(|survivors| CrashChoice { model, survivors }).collect()
    }

    /// How many operations there were, including failed ones.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Makes the operation with this number, and every later one, fail as if the process were gone.
    /// Operations are counted from 0 at the disk's creation.
    pub fn stop_at(&self, operation: u64) {
        self.lock().stop_at = operation;
    }

    /// Starts a recording: from now on, the disk is saved before each operation that changes it;
    /// see [`take_recording`](SimDisk::take_recording).
    pub fn record(&self) {
        self.lock().recording = Some(Vec::new());
    }

    /// Ends a recording, and returns the disk before each changing operation and as it is now.
    pub fn take_recording(&self) -> Vec<Moment> {
        let mut inner = self.lock();
        let mut moments = inner.recording.take().unwrap_or_default();
        moments.push(inner.moment(String::new()));
        moments
    }

    /// Adds a fault. The file layer repeats an open, read or write that is interrupted, so its
    /// caller does not see that failure.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Removes all faults, a stop and a limit of space, and stops lying.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.faults.clear();
        inner.stop_at = u64::MAX;
        inner.state.space_bytes_max = u64::MAX;
        inner.lies = false;
    }

    /// How many operations have failed because of a fault or a stop.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// From now on, syncs succeed and do nothing.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    /// Limits the space that files may take, in bytes, counted in pages of 4 KiB.
    pub fn limit_space(&self, bytes_max: u64) {
        self.lock().state.space_bytes_max = bytes_max;
    }

    /// From now on, a write needs free space for all its pages, even for those that the file
    /// already has, as on ZFS, or on btrfs without the attribute NOCOW. The replaced pages are free
    /// again at once.
    pub fn copy_on_write(&self) {
        self.lock().state.copies_on_write = true;
    }

    /// How many bytes of the disk files take.
    pub fn space_bytes(&self) -> u64 {
        self.lock().state.space_bytes()
    }

    /// How many bytes of the disk each file takes that has a name, by its path from the top.
    pub fn file_bytes(&self) -> BTreeMap<String, u64> {
        let inner = self.lock();
        let bytes = |node| inner.state.file(node).map(|file| file.seen.space_bytes()).unwrap_or_default();
        inner.state.paths().into_iter().map(|(path, node)| (path, bytes(node))).collect()
    }

    /// The operations that changed the disk since the last call, in order, one line each. See
    /// [`Kind::changes`](crate::vfs::Kind::changes).
    pub fn take_trace(&self) -> String {
        mem::take(&mut self.lock().trace)
    }

    /// The content of every file by its path from the top, as readers see it.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.lock();
        let content = |node| inner.state.file(node).map(|file| file.seen.to_vec()).unwrap_or_default();
        inner.state.paths().into_iter().map(|(path, node)| (path, content(node))).collect()
    }

    /// The paths of all files from the top, in order.
    pub fn paths(&self) -> Vec<String> {
        self.lock().state.paths().into_keys().collect()
    }

    /// Up to `len` bytes of a file from `offset` on, as readers see it; `None` if there is no such
    /// file. This is not an operation of the disk, and no fault applies to it.
    pub fn peek(&self, path: &str, offset: u64, len: usize) -> Option<Vec<u8>> {
        let inner = self.lock();
        let node = inner.state.paths().remove(path)?;
        let mut bytes = vec![0; len];
        let len = inner.state.file(node).ok()?.seen.read(&mut bytes, offset);
        bytes.truncate(len);
        Some(bytes)
    }

    /// The units that a power cut may lose now.
    pub(super) fn units(&self, model: CrashModel) -> Units {
        Units::of(&self.lock().state, model)
    }

    /// Describes what a crash loses or tears: the first few units.
    pub(super) fn losses(&self, choice: &CrashChoice) -> String {
        let inner = self.lock();
        let units = Units::of(&inner.state, choice.model);
        let losses = units.losses(&units.outcomes(&choice.survivors));
        let mut lost: Vec<_> =
            losses.iter().take(LOSSES_PRINTED_MAX).map(|loss| units.describe(*loss, &inner.state)).collect();
        if losses.len() > LOSSES_PRINTED_MAX {
            lost.push(format!("{} more", losses.len() - LOSSES_PRINTED_MAX));
        }
        lost.join(", ")
    }

    /// [`crash`](SimDisk::crash), for a caller that knows the units.
    pub(super) fn crash_of(&self, units: &Units, survivors: &Survivors) -> Self {
        self.lock().crash(units, survivors)
    }

    /// A number that is equal for two disks if readers see the same on both.
    pub(super) fn fingerprint(&self) -> u64 {
        self.lock().state.fingerprint()
    }

    /// Whether both are the same disk, and nothing was changed in between.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || self.lock().state.is_same(&other.lock().state)
    }

    /// Whether both are the same disk.
    pub(super) fn is_one_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn random(&self) -> u128 {
        self.lock().random.u128(..)
    }
}

impl Inner {
    fn crash(&self, units: &Units, survivors: &Survivors) -> SimDisk {
        let mut left = match units.model {
            CrashModel::Killed => crash::killed(&self.state),
            _ => crash::cut(&self.state, units, &units.outcomes(survivors)),
        };
        left.space_bytes_max = u64::MAX;
        SimDisk::with_state(left, self.random.clone())
    }

    pub fn moment(&self, next: String) -> Moment {
        let disk = SimDisk::with_state(self.state.clone(), self.random.clone());
        Moment { operation: self.operations, next, disk }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}
