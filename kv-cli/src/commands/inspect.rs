//! inspect: the state of a store on one screen.

use kv_store::{CollectionInfo, Recovery, Stats, Store};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar as _;

use crate::{
    encoding::Encoding,
    env::Env,
    failure::{Context, Failure},
    files::{Files, free_bytes},
    opening,
    output::{counted, counted_entries, duration, grouped, size},
};

pub const HELP: &str = "\
The replay line says what opening had to read of the log. It stays until
`kv checkpoint` or a command that writes has made a checkpoint. Health is what
opening has met; `kv verify` reads every byte.";

/// How many collections are shown: the largest.
const LARGEST_MAX: usize = 5;

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

struct View {
    directory: String,
    open: std::time::Duration,
    recovery: Recovery,
    stats: Stats,
    collections: Vec<CollectionInfo>,
    log: Files,
    checkpoints: Files,
    free: Option<u64>,
    problems: Vec<String>,
}

pub fn run(env: &mut Env<'_>, args: &Inspect) -> Result<(), Failure> {
    let started = std::time::Instant::now();
    let store = opening::existing(env)?;
    let view = View::of(env, &store, started.elapsed())?;
    let text = if args.json { view.json().to_string() } else { view.table() };
    env.print(text)
}

impl View {
    fn of(env: &Env<'_>, store: &Store, open: std::time::Duration) -> Result<Self, Failure> {
        let dir = env.dir();
        let measured = |name: &str| Files::below(&dir.join(name)).doing(|| format!("cannot measure {}", dir.display()));
        let mut collections = store.collections().doing(|| "cannot list the collections".into())?;
        collections.sort_by_key(|info| std::cmp::Reverse(info.bytes));
        let (recovery, stats) = (store.recovery().clone(), store.stats());
        Ok(Self {
            directory: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).display().to_string(),
            open,
            problems: problems(&recovery, &stats),
            recovery,
            stats,
            collections,
            log: measured("log")?,
            checkpoints: measured("checkpoints")?,
            free: free_bytes(dir),
        })
    }

    fn entries(&self) -> u64 {
        self.collections.iter().map(|info| info.entries).sum()
    }

    fn bytes(&self) -> u64 {
        self.collections.iter().map(|info| info.bytes).sum()
    }

    fn table(&self) -> String {
        let stats = &self.stats;
        let mut rows = vec![
            ("store", self.directory.clone()),
            ("identity", stats.log_id.to_string()),
            ("opened", format!("in {}, as epoch {}", duration(self.open), self.recovery.epoch)),
            ("holds", format!("{}, {} of keys and values", counted_entries(self.entries()), size(self.bytes()))),
        ];
        rows.extend(self.largest().map(|row| ("", row)));
        let replayed = (self.recovery.replayed_records, self.recovery.replayed_bytes);
        rows.extend([
            ("position", grouped(stats.published.0)),
            ("checkpoint", self.checkpoint()),
            ("replay", format!("{}, {}", counted(replayed.0, "record"), size(replayed.1))),
            (
                "memory",
                format!("{} since the checkpoint, {}", counted_entries(stats.memory_entries), size(stats.memory_bytes)),
            ),
            (
                "log",
                format!(
                    "positions {} to {}, {}, {}",
                    grouped(stats.log.trimmed.next().0),
                    grouped(stats.log.durable.0),
                    counted(self.log.count, "file"),
                    size(self.log.bytes)
                ),
            ),
            ("disk", self.disk()),
        ]);
        match &self.problems[..] {
            [] => rows.push(("health", "good".into())),
            problems => rows.extend(problems.iter().map(|problem| ("PROBLEM", problem.clone()))),
        }
        rows.into_iter().map(|(name, text)| format!("{name:<11} {text}")).collect::<Vec<_>>().join("\n")
    }

    /// The largest collections.
    fn largest(&self) -> impl Iterator<Item = String> {
        let shown = self.collections.iter().take(LARGEST_MAX).map(|info| {
            let entries = counted_entries(info.entries);
            format!("  {} {entries:>18}, {}", column(&info.name), size(info.bytes))
        });
        let more = self.collections.len().saturating_sub(LARGEST_MAX);
        let more = (more > 0).then(|| format!("  and {}", counted(more as u64, "smaller collection")));
        shown.chain(more).collect::<Vec<_>>().into_iter()
    }

    fn checkpoint(&self) -> String {
        let size_of = &self.stats.checkpoint_size;
        match self.stats.checkpoint {
            None => "none yet".into(),
            Some(id) => format!(
                "at position {}, {} in {}, {}",
                grouped(id.lsn.0),
                counted_entries(size_of.entries),
                counted(size_of.parts as u64, "part"),
                size(size_of.bytes)
            ),
        }
    }

    fn disk(&self) -> String {
        let free = self.free.map(|free| format!(", {} free", size(free))).unwrap_or_default();
        format!("{} of log, {} of checkpoints{free}", size(self.log.bytes), size(self.checkpoints.bytes))
    }

    fn json(&self) -> Value {
        let Self { stats, recovery, .. } = self;
        let files = |files: &Files| json!({"count": files.count, "bytes": files.bytes});
        let checkpoint = stats.checkpoint.map(|id| {
            json!({
                "position": id.lsn.0,
                "entries": stats.checkpoint_size.entries,
                "parts": stats.checkpoint_size.parts,
                "bytes": stats.checkpoint_size.bytes,
            })
        });
        json!({
            "directory": self.directory,
            "identity": stats.log_id.to_string(),
            "epoch": recovery.epoch.0,
            "collections": self.collections.len(),
            "entries": self.entries(),
            "bytes": self.bytes(),
            "position": stats.published.0,
            "checkpoint": checkpoint,
            "replayed": {"records": recovery.replayed_records, "bytes": recovery.replayed_bytes},
            "memory": {"entries": stats.memory_entries, "bytes": stats.memory_bytes},
            "log": {"trimmed": stats.log.trimmed.0, "durable": stats.log.durable.0, "files": files(&self.log)},
            "checkpoints": files(&self.checkpoints),
            "free_bytes": self.free,
            "problems": self.problems,
        })
    }
}

/// What opening has met that is not as it should be.
fn problems(recovery: &Recovery, stats: &Stats) -> Vec<String> {
    let bad = recovery.bad_checkpoints.iter();
    let bad = bad.map(|(id, error)| format!("the checkpoint at position {} is damaged: {}", id.lsn, error.chain()));
    let failures = [&stats.damage, &stats.checkpoint_error, &stats.merge_error].into_iter().flatten().cloned();
    bad.chain(recovery.log_notes.iter().cloned()).chain(failures).collect()
}

/// A name in a column of its own: escaped, and cut or filled up.
fn column(name: &str) -> String {
    const COLUMNS: usize = 30;
    let mut escaped = Vec::new();
    // Writing to memory cannot fail.
    let _ = Encoding::Plain.write(&mut escaped, name.as_bytes());
    let mut shown = String::new();
    let mut width = 0;
    for c in String::from_utf8_lossy(&escaped).chars() {
        width += c.width().unwrap_or(0);
        if width > COLUMNS {
            width -= c.width().unwrap_or(0);
            break;
        }
        shown.push(c);
    }
    shown + &" ".repeat(COLUMNS - width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fill_a_column_also_with_wide_characters() {
        assert_eq!(column("fruit"), format!("fruit{}", " ".repeat(25)));
        assert_eq!(column(&"x".repeat(40)), "x".repeat(30));
        assert_eq!(column(&"日".repeat(14)), format!("{}  ", "日".repeat(14)));
        assert_eq!(column(&format!("x{}", "日".repeat(20))), format!("x{} ", "日".repeat(14)));
        assert_eq!(column("a\nb"), format!(r"a\nb{}", " ".repeat(26)));
    }
}
