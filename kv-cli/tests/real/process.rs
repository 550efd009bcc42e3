//! Running a process that may hang, be killed or panic.

use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A process that takes longer hangs. No run here takes a hundredth of it on an idle machine.
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

    /// Fails unless the process ended by itself, without a panic, in one of these ways.
    #[track_caller]
    pub fn expect_code(&self, codes: &[i32], what: &dyn std::fmt::Debug) {
        let code = self.code().unwrap_or_else(|| panic!("{what:?}: ended by a signal: {self:?}"));
        assert!(!self.err.contains("panicked"), "{what:?}: {self:?}");
        assert!(codes.contains(&code), "{what:?}: exit code {code}: {self:?}");
    }
}

/// Runs a command to its end, with everything that it starts in a process group that is killed if it hangs.
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
