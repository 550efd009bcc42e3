//! Segments as files: opening, creating.

use std::{io, sync::Arc};

use kv_core::{Error, Result};
use kv_vfs::{Access, File, Vfs, preamble::PreambleError};

use crate::{
    error, names,
    segment::{HEADER_BYTES, Header},
};

/// A segment that can be written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) file: Arc<dyn File>,
}

impl Segment {
    /// The size of a block in bytes.
    pub(crate) fn block(&self) -> u64 {
        u64::from(self.header.block_bytes)
    }

    /// Whether it can be written without taking space, and flushed in blocks that a disk with blocks of that size overwrites at once.
    pub(crate) fn is_whole(&self, disk_block: u64) -> Result<bool> {
        let len = self.file.len().map_err(error::io)?;
        Ok(len >= self.header.length && self.block() >= disk_block && self.file.is_overwritten_in_place())
    }

    /// Whether the log goes on in this segment behind a seal that ends at `end`: there must be room for the epoch frame, a record and the
    /// next seal. If not, it goes on in the next segment.
    pub(crate) fn goes_on_behind_seal(&self, end: u64, disk_block: u64) -> Result<bool> {
        Ok(end + 3 * self.block() <= self.header.length && self.is_whole(disk_block)?)
    }
}

/// Reads until the buffer is full or the file ends, and returns how many bytes it read.
pub(crate) fn read_up_to(file: &dyn File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], offset + len as u64).map_err(error::io)? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

/// Opens the segment with that number and reads its header, which must be valid and bear that number.
pub(crate) fn open(vfs: &dyn Vfs, number: u64, access: Access) -> Result<Segment> {
    let name = names::segment(number);
    let file = vfs.open(&name, access).map_err(error::io)?;
    let mut bytes = vec![0; HEADER_BYTES];
    let len = read_up_to(&*file, &mut bytes, 0)?;
    match Header::decode(&bytes[..len]) {
        Ok(header) if header.number == number => Ok(Segment { header, file }),
        Ok(header) => {
            let detail = format!("it is segment {} under the name of another", header.number);
            Err(Error::corrupt_whole(error::path(vfs, &name), detail))
        }
        Err(PreambleError::Damaged { offset, detail }) => {
            Err(Error::corrupt(error::path(vfs, &name), offset, format!("{detail}: every record in it is lost")))
        }
        Err(other_version) => Err(error::preamble(error::path(vfs, &name), other_version)),
    }
}

/// Why there is no new segment.
pub(crate) enum CreateError {
    /// It could not be prepared. Nothing has changed; the log goes on without it.
    Refused(Error),
    /// Nothing may be written any more: the directory could not be synced, and nobody knows what
    /// names a power cut would leave; or it is not the log's own any more.
    Final(Error),
}

impl CreateError {
    /// The error itself.
    pub(crate) fn into_inner(self) -> Error {
        match self {
            Self::Refused(error) | Self::Final(error) => error,
        }
    }
}

/// Creates the segment that `header` describes: under a temporary name, written with zeroes to its full size, synced, renamed (over an
/// unused spare of that number, if there is one), the directory synced. It may be used on return and not before.
pub(crate) fn create(vfs: &dyn Vfs, header: &Header) -> Result<Segment, CreateError> {
    let name = names::segment(header.number);
    let file = match fill(vfs, header).and_then(|file| vfs.rename(names::TEMPORARY, &name).map(|()| file)) {
        Ok(file) => file,
        Err(error) => {
            let _ = vfs.remove(names::TEMPORARY); // gives the space back; a left-over is removed by the next attempt
            return Err(CreateError::Refused(error::io(error)));
        }
    };
    // The same file, for the sake of its name in messages. From the rename on, nothing may be refused any more.
    let file = vfs.open(&name, Access::ReadWrite).unwrap_or(file);
    vfs.sync_directory().map_err(|error| CreateError::Final(error::io(error)))?;
    Ok(Segment { header: *header, file })
}

fn fill(vfs: &dyn Vfs, header: &Header) -> kv_vfs::Result<Arc<dyn File>> {
    let file = match vfs.create(names::TEMPORARY) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            vfs.remove(names::TEMPORARY)?; // left by a process that was killed
            vfs.create(names::TEMPORARY)?
        }
        created => created?,
    };
    let filled = file
        .write_all_at(&header.encode(), 0)
        .and_then(|()| file.write_zeroes(HEADER_BYTES as u64, header.length - HEADER_BYTES as u64))
        .and_then(|()| file.sync_data());
    if filled.is_err() {
        let _ = file.set_len(0); // the file is removed next, but somebody may hold it open
    }
    filled.map(|()| file)
}
