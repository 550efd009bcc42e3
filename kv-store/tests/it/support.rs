use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use kv_store::{Options, Store, StoreOptions};
use kv_testkit::ManualScheduler;

/// Options for small stores: small segments, and no background checkpoints that a test does not
/// expect.
pub fn small() -> Options {
    let log =
        kv_wal::Options { segment_bytes_max: 16 << 10, segment_bytes_min: 16 << 10, ..kv_wal::Options::default() };
    let store = StoreOptions { close_checkpoint_record_bytes: u64::MAX, ..StoreOptions::default() };
    Options { store, log, ..Options::default() }
}

/// Options for small stores whose background work never runs.
pub fn idle() -> Options {
    let mut options = small();
    let scheduler = Arc::new(ManualScheduler::new());
    options.log.scheduler = scheduler.clone();
    options.store.scheduler = scheduler;
    options
}

/// Copies a directory as it is at this moment: what a process killed now would leave.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            // The next segment may be renamed into place in the background; it holds nothing yet.
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{}", entry.path().display());
        }
    }
}

/// The content of every file below a directory, by its path.
pub fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Everything that a store holds.
pub type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

pub fn content(store: &Store) -> kv_store::Result<Content> {
    let mut content = Content::new();
    for info in store.collections()? {
        let collection = store.collection(&info.name)?;
        let mut entries = BTreeMap::new();
        for entry in collection.iter() {
            let entry = entry?;
            // The value is read in both ways.
            assert_eq!(collection.get(&entry.key)?.as_deref(), Some(&*entry.value));
            entries.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        assert_eq!(collection.len()?, entries.len() as u64);
        content.insert(info.name, entries);
    }
    Ok(content)
}
