use std::{ops::RangeBounds, sync::Arc};

use kv_core::{CollectionId, Error, Lsn, Result, Value};
use kv_vfs::Vfs;

use crate::{
    format::{block::BLOCK_BYTES, names, part::Section},
    read::{
        cursor::TableCursor,
        part::{Entry, Part},
        piece::Piece,
        search::NotQuick,
    },
    verify::{blocks::verify_blocks, entries::verify_entries},
    write::{new_file::NewFile, part_writer::PartWriter},
};

/// The collection that holds the entries of a table. No log creates one at position 0.
const COLLECTION: CollectionId = CollectionId { lsn: Lsn::START, index: 0 };
/// The store id in a file that belongs to no log.
const NO_STORE: u128 = 0;

/// An immutable sorted key-value file, mapped and read in place.
///
/// Opening reads next to nothing and takes the same short time at any size. Every block is verified
/// when it is touched for the first time. So a damaged byte is an error: it is never returned as
/// data, and never makes a key seem absent. Any number of threads may read at once.
///
/// A table has the format of a part of a checkpoint.
///
/// ```
/// use kv_snapshot::{Cursor, OsVfs, Table, TableWriter};
///
/// # let directory = tempfile::tempdir()?;
/// let vfs = OsVfs::create(directory.path().join("data"))?;
/// let mut writer = TableWriter::create(vfs.clone(), "capitals")?;
/// writer.insert(b"France", b"Paris")?; // in order of the keys
/// writer.insert(b"Japan", b"Tokyo")?;
/// writer.insert(b"Peru", b"Lima")?;
/// writer.finish()?; // verified, named and durable; dropping a writer leaves nothing
///
/// let capitals = Table::open(&*vfs, "capitals")?;
/// assert_eq!(capitals.get(b"Japan")?.unwrap(), b"Tokyo");
/// assert!(capitals.get(b"Atlantis")?.is_none());
///
/// let mut cursor = capitals.range(&b"G"[..]..)?;
/// while cursor.advance()? {
///     println!("{} bytes of key, {} of value", cursor.key().len(), cursor.value().len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    part: Arc<Part>,
    section: Section,
}

impl Table {
    /// Opens the table `name`.
    ///
    /// # Errors
    /// [`Io`](kv_core::Error::Io) if it cannot be read; its source is of the kind
    /// [`NotFound`](std::io::ErrorKind::NotFound) if there is no such file.
    /// [`Corrupt`](kv_core::Error::Corrupt) if it is truncated, damaged or not a table.
    /// [`OlderVersion`](kv_core::Error::OlderVersion) or
    /// [`NewerVersion`](kv_core::Error::NewerVersion) if another version wrote it.
    pub fn open(vfs: &dyn Vfs, name: &str) -> Result<Self> {
        let part = Arc::new(Part::open(vfs, name)?);
        match part.section(COLLECTION) {
            Some(section) if section.tombstones == 0 => Ok(Self { section: *section, part }),
            _ => Err(Error::corrupt_whole(part.blocks().file(), "it is a part of a checkpoint and not a table")),
        }
    }

    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.section.entries
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key, as a handle into the map; `None` if the key is absent.
    ///
    /// # Errors
    /// [`Corrupt`](kv_core::Error::Corrupt) if anything that must be read for the answer is
    /// damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        if let Ok(found) = self.find_quickly(key) {
            return Ok(found.map(|(entry, _)| self.part.handle(entry.value_range())));
        }
        let Some(entry) = self.part.find(&self.section, key)? else { return Ok(None) };
        self.part.put_value(entry)?;
        Ok(Some(self.part.handle(entry.value_range())))
    }

    /// The values of several keys, in the order of `keys`. This is faster than single reads,
    /// because their waits for memory overlap.
    ///
    /// # Errors
    /// As for [`get`](Table::get).
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        self.part.prefetch(&self.section, keys);
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Calls `read` with the value of a key, in place, and returns what it returns; `None`, without
    /// a call, if the key is absent. This touches no reference counter.
    ///
    /// # Errors
    /// As for [`get`](Table::get).
    pub fn get_with<T>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Ok(self.get_in_place(key)?.map(|value| read(&value)))
    }

    /// What [`get_with`](Self::get_with) does in every crate alike, compiled in this one.
    fn get_in_place(&self, key: &[u8]) -> Result<Option<Piece<'_>>> {
        if let Ok(found) = self.find_quickly(key) {
            return Ok(found.map(|(_, value)| Piece::InPlace(value)));
        }
        self.part.find(&self.section, key)?.map(|entry| self.part.put_value(entry)).transpose()
    }

    /// See [`Part::find_quickly`]. A tombstone, which a table must not have, is left to others.
    #[inline(always)]
    fn find_quickly(&self, key: &[u8]) -> Result<Option<(Entry, &[u8])>, NotQuick> {
        match self.part.find_quickly(&self.section, key)? {
            Some((entry, _)) if entry.is_tombstone() => Err(NotQuick),
            found => Ok(found),
        }
    }

    /// The entries whose keys are in a range, in byte order of the keys. `..` is all of them.
    ///
    /// # Errors
    /// As for [`get`](Table::get).
    pub fn range<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<TableCursor> {
        TableCursor::new(self.part.clone(), self.section, keys.start_bound().cloned(), keys.end_bound().cloned())
    }

    /// Verifies every block that was not verified since the table was opened, and whether entries,
    /// order and index agree. To have every block verified, open the table again first.
    ///
    /// # Errors
    /// [`Corrupt`](kv_core::Error::Corrupt) for the first damage.
    pub fn verify(&self) -> Result<()> {
        let blocks = self.part.blocks();
        blocks.bytes(0, blocks.length() - BLOCK_BYTES as u64)?;
        verify_entries(&self.part)
    }
}

/// Writes a [`Table`]. The file gets its name when it is finished; dropping the writer before that
/// removes the file.
#[derive(Debug)]
pub struct TableWriter {
    vfs: Arc<dyn Vfs>,
    name: String,
    writer: PartWriter,
    new: NewFile,
}

impl TableWriter {
    /// Starts a table under a temporary name: `name` with `.tmp` added. A file of that temporary
    /// name, which a killed writer may have left, is removed first. So there must be only one
    /// writer of a name at a time.
    ///
    /// # Errors
    /// [`DiskFull`](kv_core::Error::DiskFull), [`Io`](kv_core::Error::Io).
    pub fn create(vfs: Arc<dyn Vfs>, name: &str) -> Result<Self> {
        match vfs.remove(&names::temporary(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let identity = vfs.random()?;
        let new = NewFile::create(&vfs, name)?;
        let mut writer = PartWriter::new(new.file().clone(), NO_STORE, identity)?;
        writer.start_collection(COLLECTION, 0, &mut || Ok(()))?;
        Ok(Self { vfs, name: name.to_owned(), writer, new })
    }

    /// Adds an entry. Its key must be above those before it. A key has 1 to 65,535 bytes, a value
    /// at most 1 GiB.
    ///
    /// # Errors
    /// [`Misuse`](kv_core::Error::Misuse) for a key out of order,
    /// [`InvalidKey`](kv_core::Error::InvalidKey),
    /// [`ValueTooLarge`](kv_core::Error::ValueTooLarge): nothing was added, and the writer can go
    /// on. After any other error, drop the writer.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.writer.insert(key, Some(value))
    }

    /// Completes the table: writes the rest, syncs the file, reads everything back from the disk
    /// and verifies it, gives the file its name, and makes the name durable. It replaces a table of
    /// that name. Readers that have the old table open keep it.
    ///
    /// # Errors
    /// [`DiskFull`](kv_core::Error::DiskFull), [`Io`](kv_core::Error::Io), and
    /// [`Corrupt`](kv_core::Error::Corrupt) if what was read back is not what was written. After an
    /// error the table is not there, with one exception: if syncing the directory or opening the
    /// table failed, the table already has its name, which may not be durable.
    pub fn finish(self) -> Result<Table> {
        let summary = self.writer.finish(&mut || Ok(()))?;
        self.new.commit(|file| verify_blocks(file, &summary, || Ok(())))?;
        self.vfs.sync_directory()?;
        Table::open(&*self.vfs, &self.name)
    }
}
