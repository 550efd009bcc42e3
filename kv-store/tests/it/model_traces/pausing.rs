//! Work in another thread that pauses at each [`Point`] of making a checkpoint.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kv_testkit::vfs::{Kind, TestVfs};
use kv_vfs::Vfs;

/// Where work pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A part is complete and still has its temporary name.
    Part,
    /// A manifest is complete and still has its temporary name.
    Publish,
    /// The manifest has its name, which is not durable.
    Finish,
    /// The log was trimmed, and the first checkpoint is about to be removed.
    Remove,
}

impl Point {
    /// Whether nothing else can change the directory of checkpoints meanwhile.
    pub fn locks_directory(self) -> bool {
        matches!(self, Self::Publish | Self::Finish | Self::Remove)
    }
}

struct Pauses {
    reached: Sender<Point>,
    go_on: Receiver<()>,
    is_published: bool,
    has_removed: bool,
}

thread_local! {
    /// Set in threads that pause.
    static PAUSES: RefCell<Option<Pauses>> = const { RefCell::new(None) };
}

/// Pauses this thread, if `wanted` says so. Does nothing once nothing waits for the thread.
fn pause(point: Point, wanted: impl FnOnce(&mut Pauses) -> bool) {
    PAUSES.with_borrow_mut(|pauses| {
        if let Some(pauses) = pauses
            && wanted(pauses)
            && pauses.reached.send(point).is_ok()
        {
            let _ = pauses.go_on.recv();
        }
    });
}

/// Work that is under way in a thread of its own.
pub struct Running {
    reached: Receiver<Point>,
    go_on: Sender<()>,
    thread: JoinHandle<()>,
    /// Where it pauses; `None` if it has ended.
    pub at: Option<Point>,
}

impl Running {
    /// Starts the work, and returns when it pauses for the first time.
    pub fn start(work: impl FnOnce() + Send + 'static) -> Self {
        let (reached_sender, reached) = channel();
        let (go_on, go_on_receiver) = channel();
        let pauses = Pauses { reached: reached_sender, go_on: go_on_receiver, is_published: false, has_removed: false };
        let thread = thread::spawn(move || {
            PAUSES.set(Some(pauses));
            work();
            PAUSES.set(None);
        });
        let mut running = Self { reached, go_on, thread, at: None };
        running.wait();
        running
    }

    /// Lets the work go on to its next pause.
    pub fn advance(&mut self) {
        let _ = self.go_on.send(());
        self.wait();
    }

    fn wait(&mut self) {
        self.at = match self.reached.recv_timeout(Duration::from_secs(60)) {
            Ok(point) => Some(point),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the work waits for something"),
        };
    }

    /// Lets the work go on to its end without a pause. The thread may wait for other work that
    /// pauses, so that has to be let go before this thread is joined.
    pub fn let_go(self) -> JoinHandle<()> {
        self.thread
    }
}

/// A directory in which work pauses.
pub fn pausing(inner: Arc<dyn Vfs>) -> Arc<dyn Vfs> {
    let paused = TestVfs::before(inner, |event| match event.kind {
        Kind::Rename if event.to.ends_with(".part") => pause(Point::Part, |pauses| {
            pauses.has_removed = false;
            true
        }),
        Kind::Rename if event.to.ends_with(".manifest") => pause(Point::Publish, |pauses| {
            pauses.is_published = true;
            true
        }),
        Kind::SyncDirectory => pause(Point::Finish, |pauses| std::mem::take(&mut pauses.is_published)),
        Kind::Remove if event.path.ends_with(".manifest") => {
            pause(Point::Remove, |pauses| !std::mem::replace(&mut pauses.has_removed, true));
        }
        _ => {}
    });
    paused.unwrap()
}
