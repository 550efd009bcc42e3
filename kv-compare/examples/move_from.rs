//! Moves a table of redb, a keyspace of fjall or a tree of sled to a collection of kv:
//!
//! ```text
//! cargo build --release --features redb,fjall,sled --example move_from
//! target/release/examples/move_from redb old.redb users new-store
//! ```
//!
//! It is meant to be copied. Keys and values are taken as bytes, in the order in which the old
//! engine sorts them; a table of other types needs its own types here.

use std::{env, error::Error, path::Path};

use fjall::KeyspaceCreateOptions;
use kv_store::{Batch, Store};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many entries are written in one step, all or none.
const BATCH_ENTRIES: usize = 1_000;
/// About how many bytes a batch may have.
const BATCH_BYTES: usize = 4 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [engine, old, name, new] = &arguments[..] else {
        return Err("usage: move_from redb|fjall|sled OLD NAME NEW".into());
    };
    let (old, store) = (Path::new(old), kv_store::open(new)?);
    let mut loader = Loader { store: &store, collection: name, batch: Batch::new(), bytes: 0 };
    match &**engine {
        "redb" => from_redb(old, name, &mut loader)?,
        "fjall" => from_fjall(old, name, &mut loader)?,
        "sled" => from_sled(old, name, &mut loader)?,
        other => return Err(format!("{other} is none of redb, fjall and sled").into()),
    }
    loader.write()?;
    store.close()?;
    Ok(())
}

fn from_redb(old: &Path, table: &str, loader: &mut Loader<'_>) -> Result<()> {
    let database = redb::Database::open(old)?;
    let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table);
    for entry in database.begin_read()?.open_table(definition)?.iter()? {
        let (key, value) = entry?;
        loader.put(key.value(), value.value())?;
    }
    Ok(())
}

fn from_fjall(old: &Path, keyspace: &str, loader: &mut Loader<'_>) -> Result<()> {
    let database = fjall::Database::builder(old).open()?;
    if !database.keyspace_exists(keyspace) {
        return Err(format!("there is no keyspace {keyspace}").into()); // it would be created
    }
    for entry in database.keyspace(keyspace, KeyspaceCreateOptions::default)?.iter() {
        let (key, value) = entry.into_inner()?;
        loader.put(&key, &value)?;
    }
    Ok(())
}

fn from_sled(old: &Path, tree: &str, loader: &mut Loader<'_>) -> Result<()> {
    let database = sled::Config::new().path(old).open()?;
    if !database.tree_names().iter().any(|name| name == tree.as_bytes()) {
        return Err(format!("there is no tree {tree}").into()); // it would be created
    }
    for entry in &database.open_tree(tree)? {
        let (key, value) = entry?;
        loader.put(&key, &value)?;
    }
    Ok(())
}

/// Writes entries in batches.
struct Loader<'a> {
    store: &'a Store,
    collection: &'a str,
    batch: Batch,
    bytes: usize,
}

impl Loader<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch.put(self.collection, key, value);
        self.bytes += key.len() + value.len();
        if self.batch.len() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.store.write(&self.batch)?;
        (self.batch, self.bytes) = (Batch::new(), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: usize = 2_500; // more than two batches

    fn entries() -> impl Iterator<Item = ([u8; 8], Vec<u8>)> {
        (0..ENTRIES).map(|n| (n.to_be_bytes(), vec![n as u8; n % 300]))
    }

    fn assert_moves(
        fill: impl FnOnce(&Path) -> Result<()>,
        from: impl FnOnce(&Path, &str, &mut Loader<'_>) -> Result<()>,
    ) -> Result<()> {
        let directory = tempfile::tempdir()?;
        let old = directory.path().join("old");
        fill(&old)?;
        let store = kv_store::open(directory.path().join("new"))?;
        let mut loader = Loader { store: &store, collection: "users", batch: Batch::new(), bytes: 0 };
        from(&old, "users", &mut loader)?;
        loader.write()?;
        let moved = store.collection("users")?.iter().collect::<kv_store::Result<Vec<_>>>()?;
        assert!(moved.len() == ENTRIES);
        assert!(moved.iter().zip(entries()).all(|(entry, (key, value))| *entry.key == key && entry.value == value));
        Ok(())
    }

    #[test]
    fn tables_of_redb_are_moved() -> Result<()> {
        let fill = |old: &Path| {
            let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("users");
            let transaction = redb::Database::create(old)?.begin_write()?;
            for (key, value) in entries() {
                transaction.open_table(definition)?.insert(&key[..], &value[..])?;
            }
            Ok(transaction.commit()?)
        };
        assert_moves(fill, from_redb)
    }

    #[test]
    fn keyspaces_of_fjall_are_moved() -> Result<()> {
        let fill = |old: &Path| {
            let database = fjall::Database::builder(old).open()?;
            let keyspace = database.keyspace("users", KeyspaceCreateOptions::default)?;
            entries().try_for_each(|(key, value)| keyspace.insert(key, value))?;
            Ok(database.persist(fjall::PersistMode::SyncAll)?)
        };
        assert_moves(fill, from_fjall)
    }

    #[test]
    fn trees_of_sled_are_moved() -> Result<()> {
        let fill = |old: &Path| {
            let tree = sled::open(old)?.open_tree("users")?;
            for (key, value) in entries() {
                tree.insert(key, value)?;
            }
            tree.flush()?;
            Ok(())
        };
        assert_moves(fill, from_sled)
    }
}
