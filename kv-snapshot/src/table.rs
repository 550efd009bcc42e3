use std::{ops::RangeBounds, sync::Arc};

use kv_core::{CollectionId, Error, Lsn, Result, Value};
use kv_vfs::Vfs;

use crate::{
    audit::audit_blocks, audit_entries::audit_entries, cursor::TableCursor, fault::from_vfs, format::Section, names,
    new_file::NewFile, part::Part, part_writer::PartWriter,
};

/// The collection in which the entries of a table are. No log creates one at position 0.
const COLLECTION: CollectionId = CollectionId { lsn: Lsn::START, index: 0 };
/// The store id of a file that belongs to no log.
const NO_STORE: u128 = 0;

/// An immutable key-value file, mapped and read in place: a part of a checkpoint used alone.
///
/// Opening takes the same short time at any size and reads next to nothing. Every block is verified when it is touched for the first time, so
/// a damaged byte is an error and never data, and never an absence either. Reads may run in any number of threads.
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
/// writer.finish()?; // verified, named and durable; a writer that is dropped leaves nothing
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
    /// [`Io`](kv_core::Error::Io), with [`NotFound`](std::io::ErrorKind::NotFound) if there is no
    /// file of that name; [`Corrupt`](kv_core::Error::Corrupt) if it is cut or not a table;
    /// [`NewerVersion`](kv_core::Error::NewerVersion).
    pub fn open(vfs: &dyn Vfs, name: &str) -> Result<Self> {
        let part = Arc::new(Part::open(vfs, name)?);
        match part.section(COLLECTION) {
            Some(section) => Ok(Self { section: *section, part }),
            None => Err(Error::corrupt_whole(part.blocks().file(), "it is a part of a checkpoint, not a table")),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.section.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key, as a handle into the map.
    ///
    /// # Errors
    /// [`Corrupt`](kv_core::Error::Corrupt) if anything that has to be read for the answer is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let Some(entry) = self.part.find(&self.section, key)? else { return Ok(None) };
        self.part.value(entry)?;
        Ok(Some(self.part.handle(entry.value_range())))
    }

    /// The values of several keys, in their order: quicker than one after the other, as the waits for memory overlap.
    ///
    /// # Errors
    /// As for [`get`](Table::get).
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        self.part.warm(&self.section, keys);
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Calls `read` with the value of a key, in place; `None`, without a call, if it is absent. Touches no counter that threads share.
    ///
    /// # Errors
    /// As for [`get`](Table::get).
    pub fn get_with<T>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        let entry = self.part.find(&self.section, key)?;
        Ok(entry.map(|entry| self.part.value(entry)).transpose()?.map(read))
    }

    /// The entries whose keys lie in a range, in byte order of the keys. `..` is all of them.
    ///
    /// # Errors
    /// As for [`get`](Table::get).
    pub fn range<'a>(&self, keys: impl RangeBounds<&'a [u8]>) -> Result<TableCursor> {
        TableCursor::new(self.part.clone(), self.section, keys.start_bound().cloned(), keys.end_bound().cloned())
    }

    /// Verifies every block that was not verified before, and whether entries, order and index agree. To have every byte read again, open
    /// the table anew.
    ///
    /// # Errors
    /// [`Corrupt`](kv_core::Error::Corrupt) for the first damage that is found.
    pub fn verify(&self) -> Result<()> {
        let blocks = self.part.blocks();
        blocks.bytes(0, blocks.map().len() as u64 - crate::format::BLOCK_BYTES as u64)?;
        audit_entries(&self.part)
    }
}

/// Writes a [`Table`]. It has its name only when it is finished; dropping it before leaves nothing.
#[derive(Debug)]
pub struct TableWriter {
    vfs: Arc<dyn Vfs>,
    name: String,
    writer: PartWriter,
    new: NewFile,
}

impl TableWriter {
    /// Starts a table, under the temporary name `name` and `.tmp`; what was left there by a writer that was killed is removed. There may be one writer
    /// of a name at a time.
    ///
    /// # Errors
    /// [`DiskFull`](kv_core::Error::DiskFull), [`Io`](kv_core::Error::Io).
    pub fn create(vfs: Arc<dyn Vfs>, name: &str) -> Result<Self> {
        match vfs.remove(&names::temporary(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(from_vfs(error)),
            _ => {}
        }
        let identity = vfs.random().map_err(from_vfs)?;
        let new = NewFile::create(&vfs, name)?;
        let mut writer = PartWriter::new(new.file().clone(), NO_STORE, identity)?;
        writer.start_collection(COLLECTION, 0, &mut || Ok(()))?;
        Ok(Self { vfs, name: name.to_owned(), writer, new })
    }

    /// Adds an entry, whose key must be above those before it. Keys have 1 to 65,535 bytes, values up to 1 GiB.
    ///
    /// # Errors
    /// [`Misuse`](kv_core::Error::Misuse) for a key out of order, [`InvalidKey`](kv_core::Error::InvalidKey) and
    /// [`ValueTooLarge`](kv_core::Error::ValueTooLarge): nothing was added, and it can go on. After any other error, drop the writer.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.writer.insert(key, value)
    }

    /// Completes the table: writes the rest, syncs, reads everything back from the disk and verifies it, gives the file its name
    /// (replacing a table of that name, whose readers keep the old one) and makes that durable.
    ///
    /// # Errors
    /// [`DiskFull`](kv_core::Error::DiskFull), [`Io`](kv_core::Error::Io), [`Corrupt`](kv_core::Error::Corrupt) if what was read back is not what was
    /// written. If syncing the directory failed, the table may or may not be there after a power cut; otherwise nothing is left.
    pub fn finish(self) -> Result<Table> {
        let summary = self.writer.finish(&mut || Ok(()))?;
        self.new.commit(|file| audit_blocks(file, &summary, || Ok(())))?;
        self.vfs.sync_directory().map_err(from_vfs)?;
        Table::open(&*self.vfs, &self.name)
    }
}
