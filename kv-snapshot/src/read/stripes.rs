//! Handles into a map that many threads share.

use std::{
    cell::Cell,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use kv_core::Value;

/// The number of reference counters for one map.
const STRIPES: usize = 16;

/// Makes handles into one map. They are spread over several reference counters: otherwise threads
/// that hand out values of the same file would contend for one cache line.
///
/// A handle made by one thread may be dropped by any other: it carries its counter with it. The map
/// ends when the last handle of the last counter is gone.
#[derive(Debug)]
pub(crate) struct Stripes([Bytes; STRIPES]);

/// A clone of the map, aligned so that the reference counter beside it shares no cache line with
/// another one, nor the pair of lines that processors fetch together.
#[repr(align(128))]
struct Padded(Bytes);

impl AsRef<[u8]> for Padded {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Stripes {
    pub(crate) fn new(map: &Bytes) -> Self {
        Self(std::array::from_fn(|_| Bytes::from_owner(Padded(map.clone()))))
    }

    /// A handle to a range, which must lie within the map.
    pub(crate) fn slice(&self, range: Range<usize>) -> Value {
        self.0[stripe_of_this_thread()].slice(range).into()
    }
}

/// Assigns the stripes to threads in turn. `Relaxed` is enough: the counter only has to spread the
/// threads.
fn stripe_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    STRIPE.with(|stripe| {
        stripe.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(Some(new));
            new
        })
    })
}
