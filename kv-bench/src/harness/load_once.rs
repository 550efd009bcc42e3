//! Data that are loaded first and then only read, without a lock.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::harness::engine::{Result, Unsupported};

/// A `T` that is built from an `L`. The first read ends the loading.
pub struct LoadOnce<L, T> {
    loading: Mutex<Option<L>>,
    loaded: OnceLock<T>,
}

impl<L: Default, T> Default for LoadOnce<L, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Default, T> LoadOnce<L, T> {
    /// An empty value: nothing has been loaded.
    pub fn new() -> Self {
        Self { loading: Mutex::default(), loaded: OnceLock::new() }
    }

    /// A value that was loaded before, as when an existing database is opened.
    pub fn loaded(loaded: T) -> Self {
        Self { loading: Mutex::default(), loaded: loaded.into() }
    }

    /// Loads more.
    ///
    /// # Errors
    /// [`Unsupported`] after the first read.
    pub fn load(&self, add: impl FnOnce(&mut L) -> Result) -> Result {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        match self.loaded.get() {
            Some(_) => Err(Unsupported("no entries can be added after the first read").into()),
            None => add(loading.get_or_insert_default()),
        }
    }

    /// The data, which `finish` builds for the first reader; `None` if nothing was loaded.
    ///
    /// # Errors
    /// Those of `finish`. The data that were loaded remain, and the next reader tries again.
    #[inline]
    pub fn read(&self, finish: impl FnOnce(&mut L) -> Result<T>) -> Result<Option<&T>> {
        match self.loaded.get() {
            Some(loaded) => Ok(Some(loaded)),
            None => self.finish(finish),
        }
    }

    #[cold]
    fn finish(&self, finish: impl FnOnce(&mut L) -> Result<T>) -> Result<Option<&T>> {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = &mut *loading {
            let _ = self.loaded.set(finish(entries)?);
            *loading = None;
        }
        Ok(self.loaded.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(word: &str) -> impl FnOnce(&mut String) -> Result {
        move |words| {
            words.push_str(word);
            Ok(())
        }
    }

    #[test]
    fn nothing_is_loaded_after_the_first_read() {
        let words = LoadOnce::<String, usize>::new();
        let length = |words: &mut String| Ok(words.len());
        assert_eq!(words.read(length).unwrap(), None); // nothing was read, so the loading goes on
        words.load(add("one")).unwrap();
        words.load(add("two")).unwrap();
        assert!(words.read(|_| Err("it cannot be finished".into())).is_err());
        assert_eq!(words.read(length).unwrap(), Some(&6)); // the failure lost nothing
        assert!(words.load(add("three")).unwrap_err().is::<Unsupported>());
        assert_eq!(words.read(length).unwrap(), Some(&6));
    }
}
