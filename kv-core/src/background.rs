//! The seam through which background work runs, so that a test can run it step by step.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::{Error, Result};

/// Runs jobs in the background. [`Threads`] gives each a thread of its own; tests bring one that runs a job when told to.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Result, StoreOptions, background::{Job, Scheduler, Wake}};
///
/// /// For a store whose checkpoints are made by call only.
/// struct Never;
/// struct Asleep;
///
/// impl Wake for Asleep {
///     fn wake(&self) {}
/// }
///
/// impl Scheduler for Never {
///     fn spawn(&self, _name: &'static str, _job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
///         Ok(Box::new(Asleep))
///     }
/// }
///
/// let options = StoreOptions { scheduler: Arc::new(Never), ..StoreOptions::default() };
/// ```
pub trait Scheduler: Send + Sync {
    /// Starts to look after `job`: it runs when it is woken, and when the time it asked for has passed. It does not run before.
    fn spawn(&self, name: &'static str, job: Box<dyn Job>) -> Result<Box<dyn Wake>>;
}

/// A piece of background work that is done again and again, never by two threads at once.
///
/// ```
/// use std::sync::mpsc;
/// use kv_core::background::{Job, Next, Scheduler, Threads};
///
/// struct Tell(mpsc::Sender<&'static str>);
///
/// impl Job for Tell {
///     fn run(&mut self) -> Next {
///         let _ = self.0.send("ran");
///         Next::WhenWoken
///     }
/// }
///
/// let (tell, told) = mpsc::channel();
/// let job = Threads.spawn("tell", Box::new(Tell(tell)))?;
/// job.wake();
/// assert_eq!(told.recv(), Ok("ran"));
/// drop(job); // waits until it has ended
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Job: Send {
    /// Does what there is to do now, and says when to come back.
    fn run(&mut self) -> Next;
}

/// When a job runs next.
///
/// ```
/// use std::time::Duration;
/// use kv_core::background::{Job, Next};
///
/// /// Looks at something every second, and at once when it is woken.
/// struct Look;
///
/// impl Job for Look {
///     fn run(&mut self) -> Next {
///         Next::After(Duration::from_secs(1))
///     }
/// }
/// # assert_eq!(Look.run(), Next::After(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When it is woken.
    WhenWoken,
    /// When it is woken, and at the latest after this time.
    After(Duration),
}

/// The handle to a job. Dropping it ends the job: it waits for a run that is under way (unless it is dropped from within that run), and there
/// is no other.
pub trait Wake: Send + Sync {
    /// Has the job run soon. Calls before that run starts count as one. Never blocks.
    fn wake(&self);
}

/// A [`Scheduler`] that gives each job a thread.
///
/// ```
/// use kv_core::{StoreOptions, background::Threads};
///
/// let options = StoreOptions { scheduler: Threads::shared(), ..StoreOptions::default() }; // the default, said
/// ```
///
/// ```
/// use kv_core::{StoreOptions, background::Threads};
///
/// let options = StoreOptions { scheduler: Threads::shared(), ..StoreOptions::default() }; // the default
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Threads {
    /// As the shared object that options take.
    pub fn shared() -> Arc<dyn Scheduler> {
        Arc::new(Self)
    }
}

impl Scheduler for Threads {
    fn spawn(&self, name: &'static str, mut job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        let (wake, woken) = bounded(1);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run_until_dropped(&mut *job, &woken))
            .map_err(|source: io::Error| Error::from_io("start the thread", name, source))?;
        Ok(Box::new(JobThread { wake: Some(wake), thread: Some(thread) }))
    }
}

fn run_until_dropped(job: &mut dyn Job, woken: &Receiver<()>) {
    let mut next = Next::WhenWoken;
    loop {
        let disconnected = match next {
            Next::WhenWoken => woken.recv().is_err(),
            Next::After(delay) => woken.recv_timeout(delay) == Err(RecvTimeoutError::Disconnected),
        };
        if disconnected {
            return;
        }
        next = job.run();
    }
}

struct JobThread {
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Wake for JobThread {
    fn wake(&self) {
        if let Some(wake) = &self.wake {
            match wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {} // one pending wake-up is enough
                Err(TrySendError::Disconnected(())) => {}  // the job panicked; there is nobody to wake
            }
        }
    }
}

impl Drop for JobThread {
    fn drop(&mut self) {
        self.wake = None; // disconnects: the thread's loop ends
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join(); // a panic in the job was reported by the panic hook
        }
    }
}
