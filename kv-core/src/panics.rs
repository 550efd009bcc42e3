//! Runs code whose panic must not spread.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Error, Result};

/// Runs `work`, and turns a panic in it into [`Error::Panicked`].
///
/// Use it where other threads wait for the result of the work: if the panic simply unwound its
/// thread, they would wait for ever. After a panic, do not rely on anything that the work may have
/// left half done. `what` names the work in the error.
///
/// ```
/// use kv_core::{Error, guarded};
///
/// let failed = guarded::<()>("the backend", || panic!("out of range"));
/// assert!(matches!(failed, Err(Error::Panicked { what: "the backend", .. })));
/// ```
///
/// # Errors
/// Those of `work`, and [`Error::Panicked`]. If panics abort the process, nothing is caught.
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

/// Drops the payload of a panic. Its destructor is foreign code, which may panic itself.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another); // its drop may panic as well, without end
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// Panics when it is dropped, with another `Endless` as its payload.
    struct Endless;

    impl Drop for Endless {
        fn drop(&mut self) {
            panic_any(Self);
        }
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let message_of = |failed: Result<()>| failed.unwrap_err().to_string();
        assert_eq!(message_of(guarded("the job", || panic!("number {}", 7))), "the job panicked: number 7");
        assert_eq!(message_of(guarded("the job", || panic!("plain"))), "the job panicked: plain");
        assert_eq!(message_of(guarded("the job", || panic_any(7))), "the job panicked: no message");
        assert_eq!(message_of(guarded("the job", || Err(Error::Closed))), "it was closed: open it again to go on");
        assert_eq!(guarded("the job", || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_panic_payload_may_panic_when_it_is_dropped() {
        let escaped = catch_unwind(|| {
            assert!(matches!(guarded::<()>("the job", || panic_any(Endless)), Err(Error::Panicked { .. })));
        });
        assert!(escaped.map_err(mem::forget).is_ok(), "a panic escaped");
    }
}
