use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicBool, Ordering},
    thread::ScopedJoinHandle,
};

/// Waits for the threads and returns their results. If one panicked, resumes its panic with its
/// message.
pub fn join_all<'scope, T>(threads: impl IntoIterator<Item = ScopedJoinHandle<'scope, T>>) -> Vec<T> {
    let results: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
    results.into_iter().map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
}

/// A flag that is set when some work ends, by a return or by a panic. So no thread waits for it for
/// ever.
#[derive(Default)]
pub struct DoneFlag(AtomicBool);

impl DoneFlag {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Sets the flag when the returned value is dropped.
    pub fn set_when_dropped(&self) -> impl Drop {
        struct Ends<'a>(&'a DoneFlag);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Release);
            }
        }
        Ends(self)
    }
}
