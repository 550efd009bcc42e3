//! Helpers for tests of ownership: forking the process, and removing its locks.
#![expect(unsafe_code, reason = "forking, and using a file by its number, is unsafe; this module does nothing else")]

use std::{
    any::Any,
    fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// A child that runs longer than this counts as hanging.
const LIMIT: Duration = Duration::from_secs(20);
const FAILED: i32 = 101;

/// A child of this process.
#[must_use = "a child must be waited for"]
#[derive(Debug)]
pub struct Child(libc::pid_t);

/// Forks. Returns `None` in the child, which must then only call [`end`].
///
/// ```
/// use kv_testkit::fork;
///
/// match fork::fork() {
///     None => fork::end(|| assert_eq!(1 + 1, 2)), // in the child, which ends with it
///     Some(child) => assert_eq!(child.wait(), Ok(())),
/// }
/// ```
pub fn fork() -> Option<Child> {
    // SAFETY: POSIX allows a child of a process with threads little more than to end. The C
    // libraries that tests run on also allow it to allocate memory. Any other lock may stay locked
    // for ever in the child. `wait` detects that as a hang.
    match unsafe { libc::fork() } {
        0 => None,
        -1 => panic!("cannot fork: {}", io::Error::last_os_error()),
        id => Some(Child(id)),
    }
}

/// Runs the child's work, and ends the child without running the destructors that it inherited.
pub fn end(run: impl FnOnce()) -> ! {
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let code = outcome.map_or_else(|panic| tell(&*panic), |()| 0);
    // SAFETY: it ends this process without running any of its code first.
    unsafe { libc::_exit(code) }
}

/// Releases the locks that this process holds on files below a directory, without the process
/// noticing. Another process then sees the same files and no lock, as it would through a mount that
/// does not pass locks on. Needs `/proc`.
pub fn lose_locks(directory: impl AsRef<Path>) {
    let directory = directory.as_ref().canonicalize().unwrap();
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let file = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(file), Ok(path)) = (file, fs::read_link(entry.path()))
            && path.starts_with(&directory)
        {
            // SAFETY: it releases the lock, if any, of the file with this number, and changes no
            // memory.
            unsafe { libc::flock(file, libc::LOCK_UN) };
        }
    }
}

/// Reports a panic directly on stderr: the test harness captures output in its own process only.
fn tell(panic: &(dyn Any + Send)) -> i32 {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    let _ = writeln!(io::stderr(), "in a child: {}", text.unwrap_or("it panicked"));
    FAILED
}

impl Child {
    /// Waits until the child has ended.
    ///
    /// # Errors
    /// Says how the child ended, if not normally: by a panic, by a signal, or in a hang. A child
    /// that hangs is killed.
    pub fn wait(self) -> Result<(), String> {
        let deadline = Instant::now() + LIMIT;
        let mut status = 0;
        loop {
            // SAFETY: `status` outlives the call; the number is that of a child that was not waited
            // for yet.
            match unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) } {
                0 if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                0 => break,
                _ if status == 0 => return Ok(()),
                _ => return Err(format!("the child ended with status {status:#x}")),
            }
        }
        // SAFETY: as above; the child is running.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, &raw mut status, 0);
        }
        Err("the child hangs".to_owned())
    }
}
