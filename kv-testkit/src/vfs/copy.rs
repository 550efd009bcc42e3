use std::{fs, io, path::Path};

/// Copies a directory with everything in it: what a process killed at this instant leaves for the
/// next opening. `to` must not exist.
///
/// If the process keeps writing meanwhile, the copy may not match any single instant;
/// [`TestVfs::image`](super::TestVfs::image) pauses it.
pub fn copy_directory(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(entry.path(), target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
