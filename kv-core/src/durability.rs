/// What a write survives once it is acknowledged.
///
/// An answer that changes nothing, such as "key not found", is returned once the changes that it
/// depends on survive the same events. It waits for no other change.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::Durability;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice")?; // as in the store's options, which default to `Disk`
/// users.with_durability(Durability::Process).put("bob", "Bob")?;
/// store.transact_with(Durability::Process, |tx| tx.put("users", "carol", "Carol"))?;
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The write survives a kill of the process. A power cut may take what was written since the
    /// last flush.
    Process,
    /// The write survives a power cut. This is the default.
    #[default]
    Disk,
}
