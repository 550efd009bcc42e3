use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loom::sync::atomic::{AtomicUsize, Ordering};

/// A stand-in for `arc_swap::ArcSwap`, which loom cannot look into. It promises no more than the
/// code relies on: a load acquires what a store released, and may return an older pointer unless a
/// happens-before relation rules that out.
#[derive(Debug)]
pub(crate) struct ArcSwap<T> {
    /// The index of the newest pointer in `stored`.
    newest: AtomicUsize,
    /// Every pointer that was ever stored. The lock is the standard library's, so loom does not
    /// switch threads while it is held.
    stored: Mutex<Vec<Arc<T>>>,
}

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self { newest: AtomicUsize::new(0), stored: Mutex::new(vec![Arc::new(value)]) }
    }

    pub(crate) fn load(&self) -> Arc<T> {
        let index = self.newest.load(Ordering::Acquire);
        Arc::clone(&self.stored()[index])
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.load()
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        let old = self.load_full();
        self.store(value);
        old
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        let index = {
            let mut stored = self.stored();
            stored.push(value);
            stored.len() - 1
        };
        self.newest.swap(index, Ordering::AcqRel);
    }

    fn stored(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
