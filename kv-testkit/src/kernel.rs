//! What the kernel says about this process, read from `/proc`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kv_vfs::{OsVfs, Vfs};

/// The files in a directory, or below it, that this process has mapped.
pub fn mapped_files(directory: &Path) -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| Some(Path::new(line.get(line.find('/')?..)?)));
    paths.filter(|path| path.starts_with(directory)).map(Path::to_owned).collect()
}

/// Where this process has mapped that file; `None` if it has not.
pub fn map_address(path: &Path) -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let of_file = maps.lines().find(|line| line.ends_with(&*path.to_string_lossy()))?;
    Some(usize::from_str_radix(of_file.split_once('-').unwrap().0, 16).unwrap())
}

/// How many bytes of the maps of that file are in the address space of this process.
pub fn bytes_in_map(path: &Path) -> u64 {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let of_file = maps.lines().skip_while(|line| !line.ends_with(&*path.to_string_lossy()));
    let resident = of_file.filter_map(|line| line.strip_prefix("Rss:")).next();
    let kib = resident.and_then(|kib| kib.trim().strip_suffix(" kB"));
    kib.map_or(0, |kib| kib.parse::<u64>().unwrap() << 10)
}

/// The files in a directory, or below it, that this process has open.
pub fn open_files(directory: &Path) -> Vec<PathBuf> {
    let handles = fs::read_dir("/proc/self/fd").unwrap();
    let paths = handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(directory)).collect()
}

/// Whether [`copy_at`](kv_vfs::File::copy_at) writes through maps in this directory. That depends
/// on the file system, and on the size of the pages of memory.
pub fn copies_through_maps(directory: &Path) -> bool {
    let vfs = OsVfs::open(directory).unwrap();
    let file = vfs.create("probe").unwrap();
    file.write_zeroes(0, 4096).unwrap();
    file.sync_data().unwrap();
    file.copy_at(b"bytes", 0).unwrap();
    let is_mapped = mapped_files(directory).iter().any(|path| path.ends_with("probe"));
    vfs.remove("probe").unwrap();
    is_mapped
}

/// How many writing system calls this thread has made; `None` if the kernel does not count them.
pub fn writing_calls() -> Option<u64> {
    counted("syscw")
}

/// How many bytes of pages of files this thread has changed; `None` if the kernel does not count
/// them. A page that was changed before and was not written back since does not count.
pub fn changed_bytes() -> Option<u64> {
    counted("write_bytes")
}

fn counted(what: &str) -> Option<u64> {
    let counts = fs::read_to_string("/proc/thread-self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": ")?.parse().ok())
}
