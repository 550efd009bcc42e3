//! Catches panics of checks, silences them, and remembers their messages and locations.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// The message of a panic, and where it was raised.
#[derive(Clone, Debug, Default)]
pub(super) struct Panic {
    message: String,
    location: String,
}

impl Panic {
    /// Whether both were raised at the same line.
    pub fn is_where(&self, other: &Self) -> bool {
        self.location == other.location
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, location } = self;
        write!(f, "{message}\nat {location}")
    }
}

/// A caught panic: its payload and its message.
pub(super) struct Caught {
    pub payload: Box<dyn Any + Send>,
    pub panic: Option<Panic>,
}

/// Runs `run`. If it panics, nothing is printed.
pub(super) fn catch(run: impl FnOnce()) -> Result<(), Caught> {
    install();
    let was_quiet = IS_QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(was_quiet);
    result.map_err(|payload| Caught { payload, panic: LAST.take() })
}

/// Installs a hook that remembers panics instead of printing them, on threads that ask for it.
/// Panics of other threads go to the previous hook.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| if IS_QUIET.get() { remember(info) } else { before(info) }));
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let panic = Panic {
        message: message(info.payload()).unwrap_or("a panic without a message").to_owned(),
        location: info.location().map(ToString::to_string).unwrap_or_default(),
    };
    LAST.set(Some(panic));
}

/// The same as `PanicHookInfo::payload_as_str`, which needs Rust 1.91.
fn message(payload: &dyn Any) -> Option<&str> {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
