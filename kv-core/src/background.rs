//! The seam through which background work runs, so that a test can run it step by step.

use std::{
    io,
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::{Error, Result, guarded};

/// Runs jobs in the background. [`Threads`] gives each a thread of its own; tests bring one that runs a job when told to.
///
/// Every job has to be run. A store without its flusher would never complete a deferred write, and
/// never flush one of [`Durability::Process`](crate::Durability::Process). To have checkpoints made
/// by call only, set the thresholds of [`StoreOptions`](crate::StoreOptions) instead.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Result, StoreOptions, background::{Job, Scheduler, Threads, Wake}};
///
/// /// Gives each job a thread, with a name that says whose it is.
/// struct Named;
///
/// impl Scheduler for Named {
///     fn spawn(&self, name: &'static str, job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
///         let name = match name {
///             "kv-flush" => "users-flush",
///             "kv-checkpoint" => "users-checkpoint",
///             other => other,
///         };
///         Threads.spawn(name, job)
///     }
/// }
///
/// let options = StoreOptions { scheduler: Arc::new(Named), ..StoreOptions::default() };
/// ```
pub trait Scheduler: Send + Sync {
    /// Starts to look after `job`: it runs when it is woken, and when the time it asked for has passed. It does not run before.
    ///
    /// # Errors
    /// Whatever keeps the job from ever being run. The store or log is not opened then.
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
/// job.wake()?;
/// assert_eq!(told.recv(), Ok("ran"));
/// drop(job); // waits until it has ended
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Job: Send {
    /// Does what there is to do now, and says when to come back. A job that panics is not run
    /// again.
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
    ///
    /// # Errors
    /// Why the job will not run any more: it is dead. [`Threads`] gives
    /// [`Panicked`](crate::Error::Panicked) with what the job's own panic said. A store whose
    /// flusher is dead takes no more writes, and a checkpoint that is not made for this reason is
    /// one that failed.
    fn wake(&self) -> Result<()>;
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
        let died = Arc::<OnceLock<String>>::default();
        let run = {
            let died = Arc::clone(&died);
            move || {
                let ended = guarded(name, || {
                    run_until_dropped(&mut *job, &woken);
                    Ok(())
                });
                if let Err(Error::Panicked { message, .. }) = ended {
                    let _ = died.set(message);
                }
                drop(woken); // from now on a wake-up is an error
            }
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|source: io::Error| Error::from_io("start the thread", name, source))?;
        Ok(Box::new(JobThread { name, wake: Some(wake), died, thread: Some(thread) }))
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
    name: &'static str,
    wake: Option<Sender<()>>,
    /// What the job panicked with, once it is dead.
    died: Arc<OnceLock<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Wake for JobThread {
    fn wake(&self) -> Result<()> {
        match self.wake.as_ref().map(|wake| wake.try_send(())) {
            Some(Err(TrySendError::Disconnected(()))) => Err(self.dead()),
            // One pending wake-up is enough.
            Some(Ok(()) | Err(TrySendError::Full(()))) | None => Ok(()),
        }
    }
}

impl JobThread {
    fn dead(&self) -> Error {
        let message = self.died.get().map_or("its thread has ended", String::as_str).to_owned();
        Error::Panicked { what: self.name, message }
    }
}

impl Drop for JobThread {
    fn drop(&mut self) {
        self.wake = None; // disconnects: the thread's loop ends
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join(); // the next wake-up told of a panic in it
        }
    }
}
