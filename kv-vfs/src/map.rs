//! The one place with unsafe code: making a read-only map.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; this module is the only one that does it")]

use std::{fs, io};

use bytes::Bytes;
use memmap2::Mmap;

/// Maps the whole of `file` for reading.
pub(crate) fn read_only(file: &fs::File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new()); // an empty range cannot be mapped
    }
    // SAFETY: the map is read-only and private to this process's view; soundness needs that nobody changes or cuts the
    // file while it is mapped. `File::map` demands that of its callers, which map only files that were renamed into place
    // and are never written again; the directory is 0700 and locked, so that nobody else has a reason to.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
