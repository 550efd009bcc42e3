//! The events that a store emits for the crate `tracing`. Needs the feature of that name.
#![cfg(feature = "tracing")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use kv_store::Durability;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Collects every event as a line.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<String>>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kv_")
    }

    fn event(&self, event: &Event<'_>) {
        let mut lines = self.0.lock().unwrap();
        write!(lines, "{} {}:", event.metadata().level(), event.metadata().target()).unwrap();
        event.record(&mut Fields(&mut lines));
        lines.push('\n');
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

#[test]
fn a_life_of_a_store_is_told() {
    let collector = Collector::default();
    tracing::subscriber::set_global_default(collector.clone()).unwrap(); // for the jobs in the background, too
    let directory = tempfile::tempdir().unwrap();
    let store = kv_store::open(directory.path().join("store")).unwrap();
    let collection = store.collection("c").unwrap();
    collection.put("key", "value").unwrap();
    store.checkpoint().unwrap();
    collection.with_durability(Durability::Process).put("key", "another value").unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    let told = collector.0.lock().unwrap().clone();
    for line in [
        "INFO kv_core::store: message=store opened recovery=opened at position 0: without a checkpoint",
        "DEBUG kv_wal::write::shared: message=preparing a segment number=2 length=1048576 allocation=Zeroed",
        "INFO kv_wal::write::state: message=segment begun number=1 length=1048576 allocation=None",
        "DEBUG kv_wal::write::shared: message=log flushed records=1 time=",
        "INFO kv_core::store::checkpoint: message=checkpoint made position=1 parts=1",
        "INFO kv_core::store::checkpoint: message=checkpoint made position=2 parts=2",
        "INFO kv_core::store::merging: message=parts merged position=2 parts=1",
    ] {
        assert!(told.contains(line), "{line}\n\nis not in\n\n{told}");
    }
    assert!(!told.contains("WARN") && !told.contains("ERROR"), "{told}");
}
