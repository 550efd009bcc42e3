use std::any::Any;

use crate::Result;

/// Says whether this process may write to the place where a store is kept, such as a directory that
/// the process has locked. A store holds its owner until the last handle is dropped, and drops its
/// log and checkpointer before it. [`Store::owner`](crate::Store::owner) gives it back, as the type
/// that it is.
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
pub trait Owner: Any + Send + Sync {
    /// Checks that this is the process that opened the store. The store calls this before each
    /// write, and before it takes a lock on behalf of a caller, so the check must neither do I/O
    /// nor wait.
    ///
    /// # Errors
    /// [`Forked`](crate::Error::Forked) in a child of the process that opened the store.
    fn check(&self) -> Result<()>;

    /// Checks that the place where the store is kept is still there and still belongs to this
    /// process. The store calls this before the first write and before each checkpoint. It may do
    /// I/O. The default calls [`check`](Owner::check).
    ///
    /// # Errors
    /// Every error is final: the store takes no more writes.
    fn confirm(&self) -> Result<()> {
        self.check()
    }
}
