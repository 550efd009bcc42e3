//! How fast merges write: no faster than they must, so that they leave the disk to others.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use kv_core::Result;

use super::steps::GoOn;

/// How much faster merges are than the change that they follow.
const AHEAD: u64 = 4;
/// How much time that was not used is made up for.
const MADE_UP_FOR: Duration = Duration::from_millis(50);
/// How long it sleeps at once.
const SLEEP: Duration = Duration::from_millis(2);
/// The number of bytes after which the time is looked at.
const STEP_BYTES: u64 = 256 << 10;

/// How many bytes in a second checkpoints have written recently.
#[derive(Debug)]
pub(crate) struct ChangeRate(Mutex<(Instant, u64)>);

impl ChangeRate {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Instant::now(), 0)))
    }

    /// Notes that a checkpoint of `bytes` was written: what has changed since the one before it.
    pub(crate) fn note(&self, bytes: u64) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let micros = now.duration_since(recent.0).as_micros().max(1);
        let rate = u128::from(bytes) * 1_000_000 / micros;
        *recent = (now, u64::try_from(rate).unwrap_or(u64::MAX));
    }

    fn bytes_per_second(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Keeps one merge to a rate: four times that of recent change, and at least `least` bytes in a
/// second.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    rate: Option<(&'a ChangeRate, u64)>,
    /// When the bytes so far may be written at the earliest.
    due: Instant,
    bytes: u64,
}

impl<'a> Pace<'a> {
    pub(crate) fn following(rate: &'a ChangeRate, least: u64) -> Self {
        Self { rate: Some((rate, least)), due: Instant::now(), bytes: 0 }
    }

    pub(crate) fn unlimited() -> Self {
        Self { rate: None, due: Instant::now(), bytes: 0 }
    }

    /// Waits until `bytes` in total may be written. `go_on` may stop that.
    #[inline]
    pub(crate) fn keep(&mut self, bytes: u64, go_on: GoOn<'_>) -> Result<()> {
        match self.rate {
            Some((rate, least)) if bytes - self.bytes >= STEP_BYTES => {
                let per_second = rate.bytes_per_second().saturating_mul(AHEAD).max(least).max(1);
                self.wait(bytes, per_second, go_on)
            }
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn wait(&mut self, bytes: u64, per_second: u64, go_on: GoOn<'_>) -> Result<()> {
        let now = Instant::now();
        let earliest = now.checked_sub(MADE_UP_FOR).unwrap_or(now);
        let seconds = (bytes - self.bytes) as f64 / per_second as f64;
        self.due = self.due.max(earliest) + Duration::from_secs_f64(seconds);
        self.bytes = bytes;
        while let Some(early) = self.due.checked_duration_since(Instant::now()).filter(|early| !early.is_zero()) {
            go_on()?;
            thread::sleep(early.min(SLEEP));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kv_core::Error;

    use super::*;

    #[test]
    fn a_merge_keeps_to_its_rate_and_follows_that_of_change() {
        let rate = ChangeRate::new();
        let taken = |rate: &ChangeRate, least| {
            let begun = Instant::now();
            let mut pace = Pace::following(rate, least);
            (1..=8).for_each(|step| pace.keep(step * STEP_BYTES, &mut || Ok(())).unwrap());
            begun.elapsed()
        };
        // 2 MiB at 8 MiB a second.
        assert!(taken(&rate, 8 << 20) >= Duration::from_millis(150));
        rate.note(u64::MAX);
        assert!(taken(&rate, 1) < Duration::from_millis(100), "it does not follow the change");
        let mut pace = Pace::unlimited();
        pace.keep(u64::MAX, &mut || Err(Error::Cancelled)).unwrap();
    }

    #[test]
    fn waiting_can_be_stopped() {
        let rate = ChangeRate::new();
        let mut pace = Pace::following(&rate, 1);
        let mut asked = 0;
        let kept = pace.keep(STEP_BYTES, &mut || {
            asked += 1;
            if asked == 3 { Err(Error::Cancelled) } else { Ok(()) }
        });
        assert!(matches!(kept, Err(Error::Cancelled)));
    }
}
