//! Ending long work in order when the user presses Ctrl-C.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::{
    SigId,
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};

/// Notes the first signal that asks the process to end. A second one ends it at once. While there
/// is no such value, each signal does.
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    registered: Vec<SigId>,
}

impl Interrupt {
    pub fn watch() -> io::Result<Self> {
        let mut interrupt = Self { signal: Arc::default(), registered: Vec::new() };
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal must not find the flag that it sets.
            interrupt.registered.push(flag::register_conditional_default(signal, Arc::clone(&is_second))?);
            interrupt.registered.push(flag::register(signal, Arc::clone(&is_second))?);
            interrupt.registered.push(flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize)?);
        }
        Ok(interrupt)
    }

    /// The signal that has come.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// Stdin, whose reads fail once a signal has come, even if they wait for more.
    pub fn stdin(&self) -> Stdin {
        Stdin { stdin: io::stdin(), signal: Arc::clone(&self.signal) }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}

/// Ends the process as the signal does by default.
pub fn die_of(signal: i32) {
    let _ = low_level::emulate_default_handler(signal);
}

pub struct Stdin {
    stdin: io::Stdin,
    signal: Arc<AtomicUsize>,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A signal that comes between the check and the wait is seen after this time.
        let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        loop {
            if self.signal.load(Ordering::Relaxed) != 0 {
                return Err(io::Error::other("interrupted"));
            }
            let mut fds = [PollFd::new(&self.stdin, PollFlags::IN)];
            match poll(&mut fds, Some(&pause)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.stdin.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
