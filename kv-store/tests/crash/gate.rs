//! A gate that holds a checkpoint while something else is done.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use kv_testkit::vfs::{Event, Kind, TestVfs};
use kv_vfs::Vfs;

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

/// The directory of a store whose checkpoints pass a gate.
pub fn gated(inner: Arc<dyn Vfs>, gate: Gate) -> kv_vfs::Result<Arc<dyn Vfs>> {
    let passing = move |event: &Event| {
        if event.kind == Kind::Create && event.path.starts_with("checkpoints/") {
            gate.pass();
        }
    };
    Ok(TestVfs::before(inner, passing)?)
}
