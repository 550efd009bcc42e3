//! The machine: its description, and how much of it other processes use.

use std::{fs, path::Path, process::Command, thread};

use super::{engine::Result, measure::number_after};

/// Ticks of /proc per second, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor, memory, kernel, and the file system of a directory: one line each, as far as the
/// system reports them.
pub fn describe(directory: &Path) -> Vec<String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let lines = [
        Some(
            after_colon("/proc/cpuinfo", "model name")
                .map_or(format!("{cores} cores"), |model| format!("{cores} cores of {model}")),
        ),
        fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            number_after(&text, "MemTotal:").map(|kib| format!("{:.1} GiB of memory", kib as f64 / f64::from(1 << 20)))
        }),
        fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|release| format!("Linux {}", release.trim())),
        file_system(directory).map(|name| format!("{name}, which held the databases")),
    ];
    lines.into_iter().flatten().collect()
}

fn after_colon(path: &str, word: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(word))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the file system that holds the directory: the one with the longest mount point.
fn file_system(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (path, kind) = (*fields.get(1)?, *fields.get(2)?);
        directory.starts_with(path).then(|| (path.len(), kind.to_owned()))
    });
    mounts.max_by_key(|(length, _)| *length).map(|(_, name)| name)
}

/// The commit that is checked out in the source directory, marked if there are changes.
pub fn commit() -> Option<String> {
    printed(Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]))
}

/// The time in UTC, to the minute.
pub fn now() -> Option<String> {
    printed(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))
}

/// What a command prints; `None` if it is not installed or fails.
fn printed(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The processor time that was used up to some moment, in seconds of one core.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    /// By this process and its children that have ended.
    own: f64,
    /// By all processes, and by other virtual machines on the same hardware (steal time).
    all: f64,
}

impl Processors {
    /// The time used until now.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn now() -> Result<Self> {
        let all = fs::read_to_string("/proc/stat")?;
        let all: Vec<f64> = fields(all.lines().next().unwrap_or_default()).skip(1).collect();
        let own = fs::read_to_string("/proc/self/stat")?;
        // The name may contain spaces. After it, fields 12 to 15 are the times of this process and
        // of the children that it has waited for.
        let own = own.rsplit_once(')').ok_or("/proc/self/stat has no name")?.1;
        let own: f64 = fields(own).skip(11).take(4).sum();
        // user, nice, system and steal. Time in interrupts is left out: most of them come from the
        // engine's own writes.
        let all: f64 = all.iter().enumerate().filter(|(at, _)| [0, 1, 2, 7].contains(at)).map(|(_, time)| time).sum();
        Ok(Self { own: own / TICKS_PER_SECOND, all: all / TICKS_PER_SECOND })
    }

    /// What other processes have used since an earlier moment, in seconds of one core.
    pub fn others_since(self, earlier: Self) -> f64 {
        ((self.all - earlier.all) - (self.own - earlier.own)).max(0.0)
    }
}

/// The numbers of a line. A word that is not a number counts as 0, so that positions are kept.
fn fields(line: &str) -> impl Iterator<Item = f64> {
    line.split_whitespace().map(|field| field.parse().unwrap_or(0.0))
}
