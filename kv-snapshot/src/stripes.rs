use std::{
    cell::Cell,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use kv_core::Value;

/// How many counters the handles into one map are spread over.
const STRIPES: usize = 16;

/// Makes handles into one map that do not all count on the same counter: threads that hand out values from the same file would otherwise
/// fight over its cache line.
#[derive(Debug)]
pub(crate) struct Stripes([Bytes; STRIPES]);

/// An owner whose reference counter, which lies beside it, shares a cache line (or the pair that processors fetch) with no other.
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

    /// A handle to a range of the map, which must lie within it.
    pub(crate) fn slice(&self, range: Range<usize>) -> Value {
        self.0[stripe_of_this_thread()].slice(range).into()
    }
}

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
