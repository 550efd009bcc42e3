//! Background work. It is behind a trait, so that a test can run it step by step.

use std::{
    io,
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::{Error, Result, guarded};

/// Runs jobs in the background. [`Threads`] gives each job a thread of its own; a test can use a
/// scheduler that runs a job only on request.
///
/// A scheduler must run every job. If the flusher of a store never ran, deferred writes might never
/// complete, and writes with [`Durability::Process`](crate::Durability::Process) might never be
/// flushed. To make checkpoints only by calling [`Store::checkpoint`](crate::Store::checkpoint),
/// set the thresholds of [`StoreOptions`](crate::StoreOptions) instead.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Result, StoreOptions, background::{Job, Scheduler, Threads, Wake}};
///
/// /// Gives each job a thread whose name says which store it belongs to.
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
    /// Takes on `job`. The job runs when it is woken, and when the time that it asked for has
    /// passed. It does not run before it is first woken.
    ///
    /// # Errors
    /// The reason why the job cannot run. The store or log then fails to open.
    fn spawn(&self, name: &'static str, job: Box<dyn Job>) -> Result<Box<dyn Wake>>;
}

/// A piece of background work that runs again and again, never on two threads at once.
///
/// ```
/// use std::sync::mpsc;
/// use kv_core::background::{Job, Next, Scheduler, Threads};
///
/// struct Report(mpsc::Sender<&'static str>);
///
/// impl Job for Report {
///     fn run(&mut self) -> Next {
///         let _ = self.0.send("ran");
///         Next::WhenWoken
///     }
/// }
///
/// let (sender, receiver) = mpsc::channel();
/// let job = Threads.spawn("report", Box::new(Report(sender)))?;
/// job.wake()?;
/// assert_eq!(receiver.recv(), Ok("ran"));
/// drop(job); // waits until the job has ended
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Job: Send {
    /// Does the work that is due now, and returns when to run next. A job that panics is not run
    /// again.
    fn run(&mut self) -> Next;
}

/// When a job runs next.
///
/// ```
/// use std::time::Duration;
/// use kv_core::background::{Job, Next};
///
/// /// Polls something every second, and at once when it is woken.
/// struct Poll;
///
/// impl Job for Poll {
///     fn run(&mut self) -> Next {
///         Next::After(Duration::from_secs(1))
///     }
/// }
/// # assert_eq!(Poll.run(), Next::After(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When it is woken.
    WhenWoken,
    /// When it is woken, and at the latest after this time.
    After(Duration),
}

/// The handle to a job. Dropping it ends the job: the drop waits for a run that is under way
/// (unless that run itself drops the handle), and no other run follows.
pub trait Wake: Send + Sync {
    /// Makes the job run soon. Several calls before that run starts count as one. Never blocks.
    ///
    /// # Errors
    /// The job is dead and will never run again; the error says why. [`Threads`] returns
    /// [`Panicked`](crate::Error::Panicked) with the message of the job's panic. A store whose
    /// flusher is dead takes no more writes; a store whose checkpoint job is dead reports the
    /// checkpoint as failed.
    fn wake(&self) -> Result<()>;
}

/// A [`Scheduler`] that gives each job a thread.
///
/// ```
/// use kv_core::{StoreOptions, background::Threads};
///
/// // This is the default.
/// let options = StoreOptions { scheduler: Threads::shared(), ..StoreOptions::default() };
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Threads {
    /// A scheduler that can be put into the options of a store.
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
                drop(woken); // from now on `wake` fails
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
    /// The message of the job's panic, once the job is dead.
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
        self.wake = None; // disconnects the channel, which ends the thread's loop
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join(); // a panic in it was reported by `wake`
        }
    }
}
