//! Makes a writable map of a file.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; this module does nothing else")]

use std::{fs::File, io};

use memmap2::MmapMut;

/// Maps the whole file and touches every page, so that later writes cause no page faults. As long
/// as the map lives, the file may be used only for a sync.
pub fn writable(file: &File) -> io::Result<MmapMut> {
    // SAFETY: nothing may change or truncate the file while it is mapped. A session has just
    // created it for itself, in the benchmark's directory and under a unique name, and writes to it
    // through this map only.
    let mut map = unsafe { MmapMut::map_mut(file)? };
    map.fill(0);
    Ok(map)
}
