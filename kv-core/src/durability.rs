/// What an acknowledged write survives.
///
/// An answer that changes nothing, such as that a key to be deleted is not there, is given once
/// what it looked at survives the same. It waits for nothing else.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::Durability;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice")?; // as the store's options say: `Disk`, where they say nothing
/// users.with_durability(Durability::Process).put("bob", "Bob")?;
/// store.transact_with(Durability::Process, |tx| tx.put("users", "carol", "Carol"))?;
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A killed process. A power cut may take what was written since the last flush.
    Process,
    /// A power cut. The default.
    #[default]
    Disk,
}
