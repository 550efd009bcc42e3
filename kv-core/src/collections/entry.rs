use crate::Value;

/// A key and its value.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// store.collection("users")?.put("alice", "Alice")?;
/// let entry = store.collection("users")?.first()?.unwrap();
/// assert_eq!((&*entry.key, &*entry.value), (&b"alice"[..], &b"Alice"[..]));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
}
