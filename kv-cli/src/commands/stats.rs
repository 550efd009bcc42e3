//! stats: how much the store holds, and how large its files are.

use std::path::Path;

use kv_store::Store;
use serde_json::{Value, json};

use crate::{
    env::Env,
    failure::{Context, Failure},
    files::Files,
    opening,
    output::{counted, counted_entries, grouped, size},
};

#[derive(Debug, clap::Args)]
pub struct Stats {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(env: &mut Env<'_>, args: &Stats) -> Result<(), Failure> {
    let store = opening::existing(env)?;
    let figures = Figures::collect(env.dir(), &store)?;
    let text = if args.json { figures.json().to_string() } else { figures.table() };
    env.print(text)
}

struct Figures {
    store: kv_store::Stats,
    collections: u64,
    entries: u64,
    bytes: u64,
    files: Files,
}

impl Figures {
    fn collect(dir: &Path, store: &Store) -> Result<Self, Failure> {
        let collections = store.collections().doing(|| "cannot list the collections".into())?;
        Ok(Self {
            store: store.stats(),
            collections: collections.len() as u64,
            entries: collections.iter().map(|info| info.entries).sum(),
            bytes: collections.iter().map(|info| info.bytes).sum(),
            files: Files::below(dir).doing(|| format!("cannot measure {}", dir.display()))?,
        })
    }

    fn json(&self) -> Value {
        let Self { store, .. } = self;
        let checkpoint = store.checkpoint.map(|id| {
            json!({
                "position": id.lsn.0,
                "epoch": id.epoch.0,
                "seq": id.seq,
                "entries": store.checkpoint_size.entries,
                "bytes": store.checkpoint_size.bytes,
            })
        });
        json!({
            "collections": self.collections,
            "entries": self.entries,
            "bytes": self.bytes,
            "position": store.published.0,
            "checkpoint": checkpoint,
            "memory": {"entries": store.memory_entries, "bytes": store.memory_bytes},
            "log": {
                "id": store.log_id.to_string(),
                "trimmed": store.log.trimmed.0,
                "durable": store.log.durable.0,
                "appended": store.log.appended.0,
                "epoch": store.log.epoch.0,
                "bytes_since_checkpoint": store.log_medium_bytes,
            },
            "files": {"count": self.files.count, "bytes": self.files.bytes},
        })
    }

    fn table(&self) -> String {
        let Self { store, .. } = self;
        let checkpoint = match store.checkpoint {
            Some(id) => format!(
                "{}, {}, at position {}",
                counted_entries(store.checkpoint_size.entries),
                size(store.checkpoint_size.bytes),
                grouped(id.lsn.0)
            ),
            None => "none yet".into(),
        };
        let changes = counted_entries(store.memory_entries);
        let rows = [
            ("collections", grouped(self.collections)),
            ("entries", format!("{}, {} of keys and values", grouped(self.entries), size(self.bytes))),
            ("position", grouped(store.published.0)),
            ("checkpoint", checkpoint),
            ("since then", format!("{changes} changed, {} in memory", size(store.memory_bytes))),
            (
                "log",
                format!(
                    "positions {} to {}, {} since the checkpoint",
                    grouped(store.log.trimmed.next().0),
                    grouped(store.log.durable.0),
                    size(store.log_medium_bytes)
                ),
            ),
            ("files", format!("{}, {}", counted(self.files.count, "file"), size(self.files.bytes))),
        ];
        rows.map(|(name, figure)| format!("{name:<12} {figure}")).join("\n")
    }
}
