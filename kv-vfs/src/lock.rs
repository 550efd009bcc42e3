//! Locks: the type that every [`Vfs`](crate::Vfs) returns, and locks of the operating system.

use std::{
    any::Any,
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    sync::{Mutex, TryLockError},
};

use crate::{Origin, Process};

/// A lock that is held until this value is dropped. See [`Vfs::try_lock`](crate::Vfs::try_lock).
#[must_use = "the lock ends when this is dropped"]
pub struct Lock {
    origin: Origin,
    /// Taken out only in a child, by whichever thread asks first. So the process that owns the lock
    /// never contends for this mutex, and it is never locked at a fork of that process.
    held: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

impl Lock {
    /// A lock that ends when `held` is dropped, for implementors of [`Vfs`](crate::Vfs).
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self { origin: Origin::here(), held: Mutex::new(Some(Box::new(held))) }
    }

    /// Whether this is the process that took the lock, and not a child of it made by `fork`. It
    /// makes no system call in that process, and waits for no other thread.
    ///
    /// A child does not have the lock, and cannot end it. The first call in a child closes what it
    /// inherited, so that the lock ends with its parent.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.origin.is_here() || self.close_inherited()
    }

    #[cold]
    fn close_inherited(&self) -> bool {
        let inherited = match self.held.try_lock() {
            Ok(mut held) => held.take(),
            Err(TryLockError::Poisoned(held)) => held.into_inner().take(),
            Err(TryLockError::WouldBlock) => None, // another thread is closing it
        };
        drop(inherited);
        false
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// Locks `file` for as long as the returned value lives; `None` if it is locked already.
pub(crate) fn try_exclusive(file: fs::File) -> io::Result<Option<Lock>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock::new(Held { file, origin: Origin::here() }))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The number of the process that has locked `file`, as far as `/proc/locks` tells it. A lock that
/// a child inherited is listed under its parent, which may have ended: that tells nothing.
pub(crate) fn holder(file: &fs::File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let holder = locks.lines().find_map(|lock| holder_of(lock, metadata.dev(), metadata.ino()));
    holder.filter(|id| Process::of(*id).is_some())
}

/// The process of a line of `/proc/locks`, if the line is about a lock of that file; see
/// proc_locks(5). A process of another namespace has no number here, or 0.
fn holder_of(lock: &str, device: u64, inode: u64) -> Option<u32> {
    let mut fields = lock.split_ascii_whitespace();
    let (_, "FLOCK") = (fields.next()?, fields.next()?) else { return None };
    let process = fields.nth(2)?.parse().ok().filter(|process| *process != 0);
    let mut file = fields.next()?.split(':');
    let mut device_part = || u32::from_str_radix(file.next()?, 16).ok();
    let is_device = rustix::fs::makedev(device_part()?, device_part()?) == device;
    if is_device && file.next()?.parse() == Ok(inode) { process } else { None }
}

struct Held {
    file: fs::File,
    origin: Origin,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing the file is not enough. A program that another thread is just starting shares the
        // open file until it runs, and with it the lock. A child must not unlock, however: the lock
        // that it would end is its parent's.
        if self.origin.is_here() {
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_names_the_process_that_holds_a_lock() {
        let device = rustix::fs::makedev(0xfe, 1);
        assert_eq!(holder_of("1: FLOCK  ADVISORY  WRITE 1234 fe:01:77 0 EOF", device, 77), Some(1234));
        for other in [
            "1: FLOCK  ADVISORY  WRITE 1234 fe:01:78 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 1234 fe:02:77 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 fe:01:77 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 1234 fe:01:77 0 EOF",
            "1: POSIX  ADVISORY  WRITE 1234 fe:01:77 0 EOF",
            "1: FLOCK",
            "",
        ] {
            assert_eq!(holder_of(other, device, 77), None, "{other}");
        }
    }

    #[test]
    fn the_holder_of_a_lock_of_this_process_is_this_process() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let _lock = try_exclusive(named.reopen().unwrap()).unwrap().unwrap();
        let inode = named.as_file().metadata().unwrap().ino();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        // Some systems hide the list, or show other devices than the file has.
        let is_listed = locks.contains(&format!(":{inode} "));
        assert_eq!(holder(named.as_file()), is_listed.then(std::process::id), "{locks}");
    }

    #[test]
    fn a_dropped_lock_ends_though_a_child_process_still_shares_the_file() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = named.reopen().unwrap();
        let _shared_with_a_child = file.try_clone().unwrap();
        let lock = try_exclusive(file).unwrap().unwrap();
        assert!(try_exclusive(named.reopen().unwrap()).unwrap().is_none());
        drop(lock);
        assert!(try_exclusive(named.reopen().unwrap()).unwrap().is_some());
    }
}
