use crate::Result;

/// Tells whether this process may write to the place where a store is kept, such as a directory
/// that it has locked. A store keeps its owner until its last handle is dropped, and drops its log
/// and checkpointer first.
///
/// ```
/// use std::{process, sync::Arc};
/// use kv_core::{Error, Owner, Result, StoreOptions};
///
/// /// The process that opened the store, and no child of it.
/// struct Opener(u32);
///
/// impl Owner for Opener {
///     fn check(&self) -> Result<()> {
///         if process::id() == self.0 { Ok(()) } else { Err(Error::Forked) }
///     }
/// }
///
/// let options = StoreOptions { owner: Some(Arc::new(Opener(process::id()))), ..StoreOptions::default() };
/// ```
pub trait Owner: Send + Sync {
    /// Whether this is the process that opened the store. The store calls this before each write,
    /// and before it takes any lock, so it must neither do I/O nor wait.
    ///
    /// # Errors
    /// [`Forked`](crate::Error::Forked) in a child of the process that opened the store.
    fn check(&self) -> Result<()>;

    /// Whether the place where the store is kept still belongs to this process and is still there.
    /// The store calls this before the first write and before each checkpoint. It may do I/O. The
    /// default is [`check`](Owner::check).
    ///
    /// # Errors
    /// Every error is final: the store takes no more writes.
    fn confirm(&self) -> Result<()> {
        self.check()
    }
}
