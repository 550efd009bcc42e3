//! Work in another thread that pauses at each [`Point`] of making a checkpoint.

use std::{
    cell::RefCell,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kv_vfs::{Access, File, Lock, Space, Vfs};

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
#[derive(Debug)]
pub struct PausingVfs(pub Arc<dyn Vfs>);

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Vfs for PausingVfs {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, name: &str, access: Access) -> kv_vfs::Result<Arc<dyn File>> {
        self.0.open(name, access)
    }

    fn create(&self, name: &str) -> kv_vfs::Result<Arc<dyn File>> {
        self.0.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> kv_vfs::Result<()> {
        if to.ends_with(".part") {
            pause(Point::Part, |pauses| {
                pauses.has_removed = false;
                true
            });
        }
        if to.ends_with(".manifest") {
            pause(Point::Publish, |pauses| {
                pauses.is_published = true;
                true
            });
        }
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> kv_vfs::Result<()> {
        if name.ends_with(".manifest") {
            pause(Point::Remove, |pauses| !std::mem::replace(&mut pauses.has_removed, true));
        }
        self.0.remove(name)
    }

    fn list(&self) -> kv_vfs::Result<Vec<String>> {
        self.0.list()
    }

    fn sync_directory(&self) -> kv_vfs::Result<()> {
        pause(Point::Finish, |pauses| std::mem::take(&mut pauses.is_published));
        self.0.sync_directory()
    }

    fn open_directory(&self, name: &str) -> kv_vfs::Result<Arc<dyn Vfs>> {
        Ok(Arc::new(Self(self.0.open_directory(name)?)))
    }

    fn create_directory(&self, name: &str) -> kv_vfs::Result<Arc<dyn Vfs>> {
        Ok(Arc::new(Self(self.0.create_directory(name)?)))
    }

    fn try_lock(&self, name: &str, access: Access) -> kv_vfs::Result<Option<Lock>> {
        self.0.try_lock(name, access)
    }

    fn lock_holder(&self, name: &str) -> Option<u32> {
        self.0.lock_holder(name)
    }

    fn is_in_place(&self) -> bool {
        self.0.is_in_place()
    }

    fn block_bytes(&self) -> u32 {
        self.0.block_bytes()
    }

    fn request_overwriting_in_place(&self) {
        self.0.request_overwriting_in_place();
    }

    fn space(&self) -> kv_vfs::Result<Space> {
        self.0.space()
    }

    fn random(&self) -> kv_vfs::Result<u128> {
        self.0.random()
    }
}
