use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

use kv_core::{
    Error, Result,
    background::{Job, Next, Scheduler, Wake},
};

/// A [`Scheduler`] that runs jobs only when the test says so, on the test's thread. A job that
/// panics never runs again, and its panic is resumed in the test.
///
/// ```
/// use kv_core::background::{Job, Next, Scheduler};
/// use kv_testkit::ManualScheduler;
///
/// struct Beat;
/// impl Job for Beat {
///     fn run(&mut self) -> Next {
///         Next::WhenWoken
///     }
/// }
///
/// let scheduler = ManualScheduler::new();
/// let wake = scheduler.spawn("beat", Box::new(Beat))?;
/// assert_eq!(scheduler.run_woken(), 0);
/// wake.wake()?;
/// assert_eq!(scheduler.run_woken(), 1);
/// assert_eq!(scheduler.run("beat"), Some(Next::WhenWoken));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ManualScheduler {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    jobs: Mutex<Vec<JobEntry>>,
    stopped: Condvar,
    ids: AtomicU64,
}

struct JobEntry {
    id: u64,
    name: &'static str,
    woken: bool,
    state: JobState,
}

enum JobState {
    Idle(Box<dyn Job>),
    Running(ThreadId),
}

impl ManualScheduler {
    /// A scheduler without jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs each job that was woken, once, in the order in which they were spawned, and returns how
    /// many ran. A job that is woken during this call, and whose turn has not passed yet, runs too.
    pub fn run_woken(&self) -> usize {
        let mut count = 0;
        let mut after = None;
        while let Some(id) = self.shared.next_id(after, |entry| entry.woken) {
            count += usize::from(self.shared.run(id).is_some());
            after = Some(id);
        }
        count
    }

    /// Runs the jobs with this name, woken or not, as if the time that they asked for had passed.
    /// Returns the answer of the last one; `None` if there is none.
    pub fn run(&self, name: &str) -> Option<Next> {
        let mut answer = None;
        let mut after = None;
        while let Some(id) = self.shared.next_id(after, |entry| entry.name == name) {
            answer = self.shared.run(id).or(answer);
            after = Some(id);
        }
        answer
    }

    /// The names of the jobs that were woken, in the order in which they were spawned.
    pub fn woken(&self) -> Vec<&'static str> {
        self.shared.lock().iter().filter(|entry| entry.woken).map(|entry| entry.name).collect()
    }

    /// The names of all jobs, in the order in which they were spawned.
    pub fn jobs(&self) -> Vec<&'static str> {
        self.shared.lock().iter().map(|entry| entry.name).collect()
    }
}

impl Scheduler for ManualScheduler {
    fn spawn(&self, name: &'static str, job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        let mut jobs = self.shared.lock();
        let id = self.shared.ids.fetch_add(1, Ordering::Relaxed);
        jobs.push(JobEntry { id, name, woken: false, state: JobState::Idle(job) });
        Ok(Box::new(Handle { id, shared: Arc::clone(&self.shared) }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<JobEntry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self, after: Option<u64>, wanted: impl Fn(&JobEntry) -> bool) -> Option<u64> {
        self.lock().iter().find(|entry| Some(entry.id) > after && wanted(entry)).map(|entry| entry.id)
    }

    /// Runs a job without holding the lock, since the job may wake and spawn jobs and end itself.
    /// Returns `None` if the job is gone, or is running in another thread.
    fn run(&self, id: u64) -> Option<Next> {
        let mut job = self.start(id)?;
        let ran = catch_unwind(AssertUnwindSafe(|| job.run()));
        let mut jobs = self.lock();
        match jobs.iter().position(|entry| entry.id == id) {
            Some(index) if ran.is_ok() => jobs[index].state = JobState::Idle(job),
            dead_or_ended => {
                dead_or_ended.map(|index| jobs.remove(index)); // it panicked: it is not run again
                drop(jobs);
                drop(job); // without the lock: dropping what it owns may end further jobs
            }
        }
        self.stopped.notify_all();
        Some(ran.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    fn start(&self, id: u64) -> Option<Box<dyn Job>> {
        let mut jobs = self.lock();
        let entry = jobs.iter_mut().find(|entry| entry.id == id)?;
        match std::mem::replace(&mut entry.state, JobState::Running(thread::current().id())) {
            JobState::Idle(job) => {
                entry.woken = false;
                Some(job)
            }
            running @ JobState::Running(_) => {
                entry.state = running;
                None
            }
        }
    }

    /// Removes a job. Waits for its current run first, unless that run is calling this.
    fn end(&self, id: u64) {
        let mut jobs = self.lock();
        while let Some(index) = jobs.iter().position(|entry| entry.id == id) {
            match jobs[index].state {
                JobState::Running(thread) if thread != thread::current().id() => {
                    jobs = self.stopped.wait(jobs).unwrap_or_else(PoisonError::into_inner);
                }
                _ => {
                    let entry = jobs.remove(index);
                    drop(jobs);
                    // Without the lock: dropping what the job owns may end further jobs.
                    return drop(entry);
                }
            }
        }
    }
}

struct Handle {
    id: u64,
    shared: Arc<Shared>,
}

impl Wake for Handle {
    fn wake(&self) -> Result<()> {
        match self.shared.lock().iter_mut().find(|entry| entry.id == self.id) {
            Some(entry) => entry.woken = true,
            None => return Err(Error::Panicked { what: "a job", message: "in an earlier run".to_owned() }),
        }
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end(self.id);
    }
}
