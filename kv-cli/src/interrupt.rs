//! Ending long work in order when the user presses Ctrl-C.

use std::{
    fs,
    io::{self, Read},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};

/// What the handlers of this process set and read. They are installed once, and stay.
struct Flags {
    /// Whether the next signal ends the process at once.
    is_final: Arc<AtomicBool>,
    /// The signal that has come, or 0.
    signal: Arc<AtomicUsize>,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

impl Flags {
    fn install() -> io::Result<Self> {
        let flags = Self { is_final: Arc::default(), signal: Arc::default() };
        let ignored = ignored_signals();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // A process that was started with nohup, or in the background, goes on.
            if ignored & 1 << (signal - 1) != 0 {
                continue;
            }
            // In this order: the first signal must not find the flag that it sets.
            flag::register_conditional_default(signal, Arc::clone(&flags.is_final))?;
            flag::register(signal, Arc::clone(&flags.is_final))?;
            flag::register_usize(signal, Arc::clone(&flags.signal), signal as usize)?;
        }
        Ok(flags)
    }
}

/// A bit for each signal that this process ignores. 0 if the system does not tell.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Notes the first signal that asks the process to end. A second one ends it at once. While there
/// is no such value, each signal does. There is one at a time.
pub struct Interrupt {
    flags: &'static Flags,
}

impl Interrupt {
    pub fn watch() -> io::Result<Self> {
        let flags = match FLAGS.get() {
            Some(flags) => flags,
            None => {
                let installed = Flags::install()?;
                FLAGS.get_or_init(|| installed)
            }
        };
        flags.signal.store(0, Ordering::Relaxed);
        flags.is_final.store(false, Ordering::Relaxed);
        Ok(Self { flags })
    }

    /// The signal that has come.
    pub fn signal(&self) -> Option<i32> {
        match self.flags.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// Stdin, whose reads fail once a signal has come, even if they wait for more.
    pub fn stdin(&self) -> Stdin {
        Stdin { signal: Arc::clone(&self.flags.signal) }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.flags.is_final.store(true, Ordering::Relaxed);
    }
}

/// Ends the process as the signal does by default.
pub fn die_of(signal: i32) {
    let _ = low_level::emulate_default_handler(signal);
}

/// It has no buffer: while one holds something, waiting for more would be wrong.
pub struct Stdin {
    signal: Arc<AtomicUsize>,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A signal that comes between the check and the wait is seen after this time.
        let pause = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        loop {
            if self.signal.load(Ordering::Relaxed) != 0 {
                return Err(io::Error::other("interrupted"));
            }
            let stdin = io::stdin();
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            let count = match poll(&mut fds, Some(&pause)) {
                Ok(0) => continue,
                Ok(_) => rustix::io::read(&stdin, &mut *buffer),
                Err(error) => Err(error),
            };
            match count {
                Err(Errno::INTR) => {}
                count => return Ok(count?),
            }
        }
    }
}
