use super::{memtable, names};

/// Proof that the caller is the one writer of its [`Collections`](super::Collections).
///
/// [`Collections::new`](super::Collections::new) makes a single token, and the store keeps it
/// behind the writer's lock. A function that takes the token can therefore be called only while
/// that lock is held:
///
/// - With `&WriterToken` it reads what was applied, published or not. Nothing is applied while the
///   borrow lasts.
/// - With `&mut WriterToken` it applies a change.
///
/// The token also carries what only the writer may use.
#[derive(Debug)]
pub(crate) struct WriterToken {
    /// Adds to the active memtable.
    pub(super) active: memtable::Writer,
    /// The names of the collections after every applied change.
    pub(crate) names: names::Writer,
}

impl WriterToken {
    /// Whether the active memtable has to be frozen: it takes `threshold` bytes or more, in memory
    /// or as records of `record_bytes` bytes in the log, or its addresses run out.
    pub(crate) fn is_active_full(&self, record_bytes: u64, threshold: u64) -> bool {
        let active = self.active.memtable();
        record_bytes.max(active.bytes()) >= threshold || active.is_used_up()
    }
}
