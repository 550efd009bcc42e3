use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loom::sync::atomic::{AtomicUsize, Ordering};

/// Stands in for `arc_swap::ArcSwap`, which loom cannot look into, and promises no more than what is relied on: a load acquires what a store released,
/// and may give an older pointer as long as nothing that happened before says otherwise.
#[derive(Debug)]
pub(crate) struct ArcSwap<T> {
    /// Which of `stored` it is.
    newest: AtomicUsize,
    /// Everything that was ever stored. The standard library's lock: nobody is interrupted while holding it.
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
