//! The state that an opening would recover from a disk at a given moment.

use std::sync::Arc;

use kv_core::{Lsn, Result, Store};
use kv_vfs::Vfs;

use crate::{Model, Operation, sim::SimDisk};

/// What an opening of an image recovers: the position, and everything in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The position of the last write that was recovered.
    pub position: Lsn,
    /// The entries of all collections.
    pub state: Model,
}

/// Opens the store on a copy of `image`, and reads all of it. The image does not change, so a test
/// can call this for a disk in use, after each of its operations. A process killed at this moment
/// leaves the disk itself; a power cut leaves a [`crash`](SimDisk::crash) of it. Each of these must
/// give a state that the store once had, and none older than what it has promised.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// use kv_testkit::{recoverable, sim::SimDisk};
///
/// # fn open_in(_: Arc<dyn kv_vfs::Vfs>) -> kv_core::Result<Store> {
/// #     let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// #     store.collection("users")?.put("alice", "Alice Liddell")?;
/// #     Ok(store)
/// # }
/// let disk = SimDisk::new(1); // a store is in use on it
/// let recovered = recoverable(&disk, open_in)?;
/// assert_eq!(recovered.state.get("users", b"alice"), Some(&b"Alice Liddell"[..]));
/// # Ok::<(), kv_core::Error>(())
/// ```
///
/// # Errors
/// If the opening is refused, or if something cannot be read.
pub fn recoverable(image: &SimDisk, open: impl FnOnce(Arc<dyn Vfs>) -> Result<Store>) -> Result<Recovered> {
    let store = open(image.killed().vfs())?;
    let mut state = Model::default();
    for info in store.collections()? {
        state.apply(&Operation::create(&info.name));
        for entry in store.collection(&info.name)?.iter() {
            let entry = entry?;
            state.apply(&Operation::put(&info.name, &entry.key[..], &entry.value[..]));
        }
    }
    Ok(Recovered { position: store.recovery().position, state })
}
