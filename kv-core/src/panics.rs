//! Running code that may panic, where others would suffer from it.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Error, Result};

/// Does `work`, and makes a panic in it [`Error::Panicked`].
///
/// Use it where somebody waits for what the work does, and would wait for ever if its thread just
/// unwound. What the work may have left half done must not be relied on afterwards. `what` names
/// the work in the error.
///
/// ```
/// use kv_core::{Error, guarded};
///
/// let failed = guarded::<()>("the backend", || panic!("out of range"));
/// assert!(matches!(failed, Err(Error::Panicked { what: "the backend", .. })));
/// ```
///
/// # Errors
/// Those of `work`, and [`Error::Panicked`]. Nothing is caught where panics abort the process.
pub fn guarded<T>(what: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = message(&*payload);
        discard(payload);
        Err(Error::Panicked { what, message })
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// Drops what a panic carried. That is somebody else's code, too, and may panic in its turn.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another); // dropping this one may panic as well, and so on for ever
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// Panics when it is dropped, with another one of its kind.
    struct Endless;

    impl Drop for Endless {
        fn drop(&mut self) {
            panic_any(Self);
        }
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let told = |failed: Result<()>| failed.unwrap_err().to_string();
        assert_eq!(told(guarded("the job", || panic!("number {}", 7))), "the job panicked: number 7");
        assert_eq!(told(guarded("the job", || panic!("plain"))), "the job panicked: plain");
        assert_eq!(told(guarded("the job", || panic_any(7))), "the job panicked: no message");
        assert_eq!(told(guarded("the job", || Err(Error::Closed))), "already closed");
        assert_eq!(guarded("the job", || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn what_a_panic_carries_may_panic_when_it_is_dropped() {
        let came_out = catch_unwind(|| {
            assert!(matches!(guarded::<()>("the job", || panic_any(Endless)), Err(Error::Panicked { .. })));
        });
        assert!(came_out.map_err(mem::forget).is_ok(), "a panic came out");
    }
}
