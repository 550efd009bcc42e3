use crate::Result;

/// Says whether this process may write to what a store is kept on, such as a directory that it has
/// locked. A store keeps its owner until its last handle is gone, and its log and checkpointer
/// before.
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
    /// Whether this is the process that opened the store. Asked before each write, before any lock
    /// is taken: it must neither do I/O nor wait.
    ///
    /// # Errors
    /// [`Forked`](crate::Error::Forked) in a child of that process.
    fn check(&self) -> Result<()>;

    /// Whether what the store is kept on is still this process's own, and in its place. Asked
    /// before the first write and before each checkpoint; it may do I/O. By default what
    /// [`check`](Owner::check) says.
    ///
    /// # Errors
    /// Every error is final: the store takes no more writes.
    fn confirm(&self) -> Result<()> {
        self.check()
    }
}
