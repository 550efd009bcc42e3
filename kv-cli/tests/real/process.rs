//! Running a process that may hang, be killed or panic.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::writer::Job;

/// A process that takes longer counts as hung. On an idle machine no run takes a hundredth of this.
const TIME_MAX: Duration = Duration::from_secs(180);

pub const SIGKILL: i32 = 9;

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(SIGKILL)
    }

    /// Fails unless the process ended by itself, without a panic, with one of these exit codes.
    #[track_caller]
    pub fn expect_code(&self, codes: &[i32], what: &dyn std::fmt::Debug) {
        let code = self.code().unwrap_or_else(|| panic!("{what:?}: ended by a signal: {self:?}"));
        assert!(!self.err.contains("panicked"), "{what:?}: {self:?}");
        assert!(codes.contains(&code), "{what:?}: exit code {code}: {self:?}");
    }
}

/// A running writer. It is killed when this is dropped.
pub struct Running {
    child: Child,
    out: Option<JoinHandle<String>>,
    first: mpsc::Receiver<()>,
}

impl Running {
    pub fn start(job: &Job, dir: &Path) -> Self {
        let mut child = job.command(dir).spawn().unwrap();
        let mut pipe = BufReader::new(child.stdout.take().unwrap());
        let (sender, first) = mpsc::channel();
        let out = thread::spawn(move || {
            let (mut out, mut end) = (String::new(), 0);
            while pipe.read_line(&mut out).unwrap() > 0 {
                if out[end..].starts_with("ack") {
                    let _ = sender.send(()); // an error means that no thread waits for it
                }
                end = out.len();
            }
            out
        });
        Self { child, out: Some(out), first }
    }

    /// Waits until something was acknowledged.
    pub fn acknowledges(&self) {
        self.first.recv_timeout(TIME_MAX).unwrap();
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Stops all of its threads. Their system calls have ended when this returns.
    pub fn stop(&self) {
        let id = self.child.id();
        assert!(Command::new("kill").args(["-STOP", &id.to_string()]).status().unwrap().success());
        let is_stopped = |task: io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|state| state.trim_start().starts_with('T'))
        };
        while !fs::read_dir(format!("/proc/{id}/task")).unwrap().all(is_stopped) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it, and returns what it had printed.
    pub fn killed(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.out.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end. It has a process group of its own, which is killed if it hangs.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    let child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let group = format!("-{}", child.id());
    let (ended, wait) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let hangs = wait.recv_timeout(TIME_MAX) == Err(mpsc::RecvTimeoutError::Timeout);
        if hangs {
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
        hangs
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    assert!(!watchdog.join().unwrap(), "{command:?} hung: {output:?}");
    Ended {
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
