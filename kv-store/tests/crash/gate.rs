//! Something that is done while a checkpoint is being written.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use kv_vfs::{Access, File, Lock, Result, Space, Vfs};

/// Where a checkpoint waits, once, when it has frozen the state and creates its first file.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<Option<Handshake>>>);

#[derive(Debug)]
struct Handshake {
    reached: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

/// The other side of a [`Halt`].
pub struct ClosedGate {
    reached: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl Gate {
    /// The next checkpoint waits.
    pub fn close(&self) -> ClosedGate {
        let ((reached, is_reached), (goes_on, go_on)) = (mpsc::channel(), mpsc::channel());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handshake { reached, go_on });
        ClosedGate { reached: is_reached, go_on: goes_on }
    }

    /// No checkpoint waits any more.
    pub fn open_for_good(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Handshake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn pass(&self) {
        if let Some(Handshake { reached, go_on }) = self.take() {
            let _ = reached.send(()); // nobody may want to know
            let _ = go_on.recv(); // an error means the same
        }
    }
}

impl ClosedGate {
    /// Waits until the checkpoint waits. `false` if it has ended without.
    pub fn is_reached(&self) -> bool {
        self.reached.recv().is_ok()
    }

    pub fn go_on(self) {
        let _ = self.go_on.send(()); // it may have ended
    }
}

/// The directory of a store, whose checkpoints pass by a [`Halt`].
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
