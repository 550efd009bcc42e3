use std::{fs, io, path::Path};

/// Copies a directory with everything in it: what a process that was killed at this instant leaves, for whoever opens the copy. `to` must not
/// exist.
///
/// If the process goes on while it is copied, the copy may be of no single instant; [`TestVfs::image`](super::TestVfs::image) halts it.
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
