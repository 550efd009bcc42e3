//! Keeps a derived value up to date with a store: the number of entries by their first letter. Run
//! it with `cargo run -p kv-store --example change_feed`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::{collections::BTreeMap, thread, time::Duration};

use kv_store::{RecordedChange, Result};

fn main() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("kv-change-feed-{}", std::process::id()));
    let store = kv_store::open(directory)?;
    let words = store.collection("words")?;
    for word in ["apple", "avocado", "banana"] {
        words.put_if_absent(word, "")?;
    }

    // First the existing entries, then every change after the snapshot's position. So nothing is
    // missed or seen twice.
    let snapshot = store.snapshot();
    let mut counts: BTreeMap<u8, i64> = BTreeMap::new();
    for entry in snapshot.iter("words") {
        *counts.entry(entry?.key[0]).or_default() += 1;
    }
    let mut feed = store.changes(snapshot.position())?;

    let writer = thread::spawn({
        let words = words.clone();
        move || -> Result<()> {
            words.put_if_absent("blueberry", "")?;
            words.put_if_absent("cherry", "")?;
            words.delete("apple")
        }
    });
    while feed.wait(Duration::from_millis(200)) {
        for record in &mut feed {
            let record = record?;
            for change in record.changes {
                match change {
                    RecordedChange::Put { key, .. } => *counts.entry(key[0]).or_default() += 1,
                    RecordedChange::Delete { key, .. } => *counts.entry(key[0]).or_default() -= 1,
                    other => println!("{other:?}"),
                }
            }
            // Save it: the feed can resume from here.
            println!("after position {}: {counts:?}", record.lsn);
        }
    }
    writer.join().unwrap_or(Ok(()))?;
    store.close()
}
