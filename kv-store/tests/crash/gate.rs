//! A gate that holds a checkpoint while something else is done.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use kv_vfs::{Access, File, Lock, Result, Space, Vfs};

/// A gate that a checkpoint passes after it has frozen the state, when it creates its first file.
/// If the gate is closed, one checkpoint waits at it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<Option<Handshake>>>);

#[derive(Debug)]
struct Handshake {
    reached: mpsc::Sender<()>,
    opened: mpsc::Receiver<()>,
}

/// A closed gate, in the hands of the thread that opens it.
pub struct ClosedGate {
    reached: mpsc::Receiver<()>,
    opened: mpsc::Sender<()>,
}

impl Gate {
    /// Closes the gate: the next checkpoint waits at it.
    pub fn close(&self) -> ClosedGate {
        let ((reached, is_reached), (open, opened)) = (mpsc::channel(), mpsc::channel());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handshake { reached, opened });
        ClosedGate { reached: is_reached, opened: open }
    }

    /// Opens the gate: no checkpoint waits at it any more.
    pub fn open_for_good(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Handshake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn pass(&self) {
        if let Some(Handshake { reached, opened }) = self.take() {
            let _ = reached.send(()); // the receiver may be gone
            let _ = opened.recv(); // an error means that the gate is open
        }
    }
}

impl ClosedGate {
    /// Waits until a checkpoint is at the gate. Returns `false` if it ended without getting there.
    pub fn is_reached(&self) -> bool {
        self.reached.recv().is_ok()
    }

    pub fn open(self) {
        let _ = self.opened.send(()); // the checkpoint may have ended
    }
}

/// The directory of a store whose checkpoints pass a [`Gate`].
#[derive(Debug)]
pub struct GatedVfs {
    inner: Arc<dyn Vfs>,
    gate: Gate,
    /// Whether this is the directory of the checkpoints.
    is_checkpoints: bool,
}

impl GatedVfs {
    pub fn new(inner: Arc<dyn Vfs>, gate: Gate) -> Arc<Self> {
        Arc::new(Self { inner, gate, is_checkpoints: false })
    }

    fn directory(&self, name: &str, inner: Arc<dyn Vfs>) -> Arc<dyn Vfs> {
        Arc::new(Self { inner, gate: self.gate.clone(), is_checkpoints: name == "checkpoints" })
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Vfs for GatedVfs {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        self.inner.open(name, access)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        if self.is_checkpoints {
            self.gate.pass();
        }
        self.inner.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_directory(&self) -> Result<()> {
        self.inner.sync_directory()
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.open_directory(name).map(|inner| self.directory(name, inner))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.create_directory(name).map(|inner| self.directory(name, inner))
    }

    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        self.inner.try_lock(name, access)
    }

    fn lock_holder(&self, name: &str) -> Option<u32> {
        self.inner.lock_holder(name)
    }

    fn is_in_place(&self) -> bool {
        self.inner.is_in_place()
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }

    fn request_overwriting_in_place(&self) {
        self.inner.request_overwriting_in_place();
    }

    fn space(&self) -> Result<Space> {
        self.inner.space()
    }

    fn random(&self) -> Result<u128> {
        self.inner.random()
    }
}
