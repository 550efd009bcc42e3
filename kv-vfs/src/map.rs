//! Maps files into memory, for reading only.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; this module does nothing else")]

use std::{fs, io};

use bytes::Bytes;
use memmap2::Mmap;

/// Maps the whole of `file` for reading.
pub(crate) fn read_only(file: &fs::File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new()); // an empty range cannot be mapped
    }
    // SAFETY: the map is read-only. It is sound as long as the file is not changed or truncated
    // while it is mapped. `File::map` demands that of its callers. kv itself maps only files that
    // were renamed into place, and never writes to them again. Other users cannot enter a directory
    // that kv has created (0700). That no other program of the same user changes the file is
    // assumed.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
