//! How long the disk takes to flush, and what that says about it.

use std::{
    fmt,
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    failure::{Context, Failure},
    interrupt::Interrupt,
    output::grouped,
};

const BLOCK_BYTES: usize = 4096;
const BLOCKS: u64 = 256;

/// How long writing a block and flushing it took.
#[derive(Debug)]
pub struct Flushes {
    median: Duration,
    /// Of a hundred flushes, one takes longer.
    slow: Duration,
}

/// Writes blocks of a file, which has its size already, and flushes each.
pub fn flushes(dir: &Path, time: Duration, interrupt: &Interrupt) -> Result<Flushes, Failure> {
    let what = || format!("cannot measure flushes in {}", dir.display());
    let file = File::options().write(true).create_new(true).open(dir.join("flushes")).doing(what)?;
    for block in 0..BLOCKS {
        file.write_all_at(&[1; BLOCK_BYTES], block * BLOCK_BYTES as u64).doing(what)?;
    }
    file.sync_all().doing(what)?;
    let started = Instant::now();
    let mut times = Vec::new();
    for number in 0_u64.. {
        if started.elapsed() >= time || interrupt.signal().is_some() {
            break;
        }
        let from = Instant::now();
        file.write_all_at(&[number as u8; BLOCK_BYTES], number % BLOCKS * BLOCK_BYTES as u64).doing(what)?;
        file.sync_data().doing(what)?;
        times.push(from.elapsed());
    }
    Ok(Flushes::of(times))
}

impl Flushes {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        Self { median: at(50), slow: at(99) }
    }

    /// What the times say about the disk below a directory.
    pub fn verdict(&self, dir: &Path) -> String {
        verdict(self.median, is_in_memory(dir))
    }
}

fn verdict(median: Duration, is_in_memory: bool) -> String {
    let micros = grouped(median.as_micros() as u64);
    if is_in_memory {
        return "Verdict: this directory is in memory (tmpfs). Nothing in it survives a power cut.".into();
    }
    match median.as_micros() {
        ..20 => format!(
            "Verdict: the disk seems to IGNORE FLUSHES. {micros} µs is less than any disk takes.\n\
             A virtual machine or a controller with a cache may acknowledge what it has\n\
             not stored: acknowledged writes may be lost when the power fails."
        ),
        20..200 => format!(
            "Verdict: {micros} µs is quick. Either the disk protects its cache against power cuts,\n\
             as disks for servers do, or something on the way ignores flushes. Find out\n\
             which it is before you rely on it."
        ),
        _ => "Verdict: flushes take as long as they do on a disk that really flushes.".into(),
    }
}

impl fmt::Display for Flushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, slow) = (shown(self.median), shown(self.slow));
        write!(f, "{median} for the disk to store 4 KiB (99 of 100 take at most {slow})")
    }
}

fn shown(time: Duration) -> String {
    match time.as_micros() {
        micros @ ..1_000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1e3),
    }
}

fn is_in_memory(dir: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::statfs(dir).is_ok_and(|found| [TMPFS, RAMFS].contains(&(found.f_type as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_depends_on_the_median() {
        let of = |micros| verdict(Duration::from_micros(micros), false);
        assert!(of(3).contains("IGNORE FLUSHES") && of(19).contains("IGNORE FLUSHES"));
        assert!(of(20).contains("is quick") && of(199).contains("is quick"));
        assert!(of(200).contains("really flushes") && of(9_000).contains("really flushes"));
        assert!(verdict(Duration::from_millis(5), true).contains("in memory"));
        let widest = [3, 20, 200]
            .map(of)
            .into_iter()
            .flat_map(|text| text.lines().map(|line| line.chars().count()).collect::<Vec<_>>());
        assert!(widest.max() <= Some(80));
    }

    #[test]
    fn the_middle_and_the_slow_end() {
        let times = (1..=200).rev().map(Duration::from_micros).collect();
        let flushes = Flushes::of(times);
        assert_eq!((flushes.median, flushes.slow), (Duration::from_micros(101), Duration::from_micros(199)));
        assert_eq!(Flushes::of(Vec::new()).median, Duration::ZERO);
        assert_eq!(
            Flushes { median: Duration::from_micros(410), slow: Duration::from_micros(1_249) }.to_string(),
            "410 µs for the disk to store 4 KiB (99 of 100 take at most 1.2 ms)"
        );
    }
}
