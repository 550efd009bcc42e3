//! Locks on files of the operating system.

use std::{fs, io};

use crate::{Lock, Origin};

/// Locks `file` for as long as the returned value lives; `None` if it is locked already.
pub(crate) fn try_exclusive(file: fs::File) -> io::Result<Option<Lock>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock::new(Held { file, origin: Origin::here() }))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

struct Held {
    file: fs::File,
    origin: Origin,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a child process that another thread is just starting shares the
        // open file, and with it the lock, until it runs its program. But what a child unlocks is
        // its parent's.
        if self.origin.is_here() {
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
