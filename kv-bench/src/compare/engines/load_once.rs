//! What is loaded first and read afterwards, from then on without a lock.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::compare::engine::{Result, Unsupported};

/// A `T` that is made of an `L`. The first reading ends the loading.
pub struct LoadOnce<L, T> {
    loading: Mutex<Option<L>>,
    loaded: OnceLock<T>,
}

impl<L: Default, T> LoadOnce<L, T> {
    /// Nothing is loaded yet.
    pub fn new() -> Self {
        Self { loading: Mutex::default(), loaded: OnceLock::new() }
    }

    /// Everything was loaded before.
    pub fn loaded(loaded: T) -> Self {
        Self { loading: Mutex::default(), loaded: loaded.into() }
    }

    /// Loads more.
    ///
    /// # Errors
    /// [`Unsupported`] after the first reading.
    pub fn load(&self, add: impl FnOnce(&mut L) -> Result) -> Result {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        match self.loaded.get() {
            Some(_) => Err(Unsupported("what has been read once takes no further entries").into()),
            None => add(loading.get_or_insert_default()),
        }
    }

    /// What was loaded, made by `finish` for the first reader; `None` if nothing was.
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
    fn nothing_is_loaded_after_the_first_reading() {
        let words = LoadOnce::<String, usize>::new();
        let length = |words: &mut String| Ok(words.len());
        assert_eq!(words.read(length).unwrap(), None); // this ends nothing: there was nothing to be read
        words.load(add("one")).unwrap();
        words.load(add("two")).unwrap();
        assert!(words.read(|_| Err("it cannot be finished".into())).is_err());
        assert_eq!(words.read(length).unwrap(), Some(&6)); // nothing is lost by that
        assert!(words.load(add("three")).unwrap_err().is::<Unsupported>());
        assert_eq!(words.read(length).unwrap(), Some(&6));
    }
}
