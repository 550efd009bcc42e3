//! Making a map that is written to.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; this module does nothing else")]

use std::{fs::File, io};

use memmap2::MmapMut;

/// Maps the whole of `file`, which nobody else uses as long as the map lives but to sync it, and touches every page, so that later
/// writes wait for none.
pub fn writable(file: &File) -> io::Result<MmapMut> {
    // SAFETY: soundness needs that nobody changes or cuts the file while it is mapped. A session has just created it in the
    // directory of the benchmark for itself alone, under a name of its own, and nobody writes to it but through this map.
    let mut map = unsafe { MmapMut::map_mut(file)? };
    map.fill(0);
    Ok(map)
}
