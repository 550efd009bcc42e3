//! The files of a directory as plain bytes.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use kv_vfs::{Access, Vfs};

/// How many bytes are compared and written at a time.
const CHUNK_BYTES: usize = 4096;

/// The content of every file of a directory, by its path from there, such as `log/a`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Changes a directory that holds `old` so that it holds `new`, durably.
pub(crate) fn update_files(vfs: &Arc<dyn Vfs>, old: &Files, new: &Files) -> kv_vfs::Result<()> {
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        let (directory, name) = parent(vfs, path)?;
        directory.remove(name)?;
        directory.sync_directory()?;
    }
    for (path, new) in new {
        match old.get(path) {
            Some(old) if old == new => {}
            old => update_file(vfs, path, old.map(Vec::as_slice), new)?,
        }
    }
    Ok(())
}

fn update_file(vfs: &Arc<dyn Vfs>, path: &str, old: Option<&[u8]>, new: &[u8]) -> kv_vfs::Result<()> {
    let (directory, name) = parent(vfs, path)?;
    let file = match old {
        Some(_) => directory.open(name, Access::ReadWrite)?,
        None => directory.create(name)?,
    };
    let old = old.unwrap_or_default();
    if new.len() < old.len() {
        file.set_len(new.len() as u64)?;
    }
    for (n, chunk) in new.chunks(CHUNK_BYTES).enumerate() {
        let at = n * CHUNK_BYTES;
        if old.get(at..at + chunk.len()) != Some(chunk) {
            file.write_all_at(chunk, at as u64)?;
        }
    }
    file.sync_data()?;
    directory.sync_directory()
}

/// The directory of a path, created if it is missing, and the name in it.
fn parent<'a>(vfs: &Arc<dyn Vfs>, path: &'a str) -> kv_vfs::Result<(Arc<dyn Vfs>, &'a str)> {
    let Some((directory, rest)) = path.split_once('/') else { return Ok((Arc::clone(vfs), path)) };
    let below = vfs.create_directory(directory)?;
    vfs.sync_directory()?;
    parent(&below, rest)
}

/// Reads a directory of the operating system.
pub(crate) fn read_files(directory: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            let below = read_files(&entry.path())?;
            files.extend(below.into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}

/// Makes a directory of the operating system hold exactly these files.
pub(crate) fn write_files(directory: &Path, files: &Files) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(directory)?,
    }
    for (path, bytes) in files {
        let path = directory.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)?;
    }
    Ok(())
}
