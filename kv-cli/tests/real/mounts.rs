//! File systems of our own. Dropping their value unmounts them, also in a test that panics.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::tools;

/// A kind of file system that the tests make in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    /// What `mount` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The size of a small image in bytes: `mkfs.xfs` makes nothing below 300 MiB, and a small
    /// btrfs has hardly any room beside its metadata.
    pub fn small(self) -> u64 {
        match self {
            Self::Ext4 => 24 << 20,
            Self::Xfs => 300 << 20,
            Self::Btrfs => 160 << 20,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Ext4 => "e2fsprogs",
            Self::Xfs => "xfsprogs",
            Self::Btrfs => "btrfs-progs",
        }
    }

    /// The options of `mkfs` for a disk of that size: everything is written at once.
    fn mkfs_options(self, bytes: u64) -> &'static [&'static str] {
        /// No blocks are kept back for the super user, who runs this.
        const NOW: &str = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        match self {
            Self::Ext4 if bytes < 16 << 20 => &["-q", "-F", "-b", "1024", "-m", "0", "-E", NOW],
            Self::Ext4 => &["-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4", "-E", NOW],
            Self::Xfs => &["-q", "-f", "-K"],
            Self::Btrfs => &["-q", "-f", "-K"],
        }
    }

    /// Options of `mount` with which the kernel writes nothing by itself while an image is copied;
    /// what is flushed is written at once. A copied XFS has the UUID of its original.
    fn mount_options(self) -> &'static str {
        match self {
            Self::Ext4 => "loop,commit=300",
            Self::Xfs => "loop,nouuid",
            Self::Btrfs => "loop,commit=300,nodiscard",
        }
    }

    /// Runs the test on it if it can be made and mounted here. If not, reports why.
    pub fn try_on(self, tested: &str, test: fn(Self)) {
        if self.is_here(tested) {
            test(self);
        }
    }

    /// Whether it can be made and mounted here. If not, reports why.
    pub fn is_here(self, tested: &str) -> bool {
        let tested = format!("{tested} on {}", self.name());
        if !(tools::is_root(&tested) && tools::has("mount", &tested)) {
            return false;
        }
        if let Some(lacking) = self.lacking() {
            tools::not_tested(&tested, lacking);
        }
        self.lacking().is_none()
    }

    /// What this machine lacks for it.
    fn lacking(self) -> Option<&'static str> {
        static LACKING: [OnceLock<Option<String>>; 3] = [const { OnceLock::new() }; 3];
        LACKING[self as usize].get_or_init(|| self.try_out().err()).as_deref()
    }

    fn try_out(self) -> Result<(), String> {
        let mkfs = format!("mkfs.{}", self.name());
        if !tools::is_there(&mkfs) {
            return Err(format!("there is no {mkfs} here (install {})", self.package()));
        }
        let home = tools::memory_dir();
        Image::new(self, home.path(), self.small()).map(drop).map_err(|why| {
            let name = self.name();
            format!("no {name} can be made and mounted here (no {name} in the kernel, or no loop device?): {why}")
        })
    }
}

/// A test on each kind of file system: `on_each!(name, "what it tests", function)` makes
/// `name::ext4` and so on. Each calls the function with the kind if this machine has it, and
/// reports it otherwise.
macro_rules! on_each {
    ($name:ident, $tested:expr, $test:path) => {
        mod $name {
            use super::*;
            use crate::mounts::Kind;

            #[test]
            fn ext4() {
                Kind::Ext4.try_on($tested, $test);
            }

            #[test]
            fn xfs() {
                Kind::Xfs.try_on($tested, $test);
            }

            #[test]
            fn btrfs() {
                Kind::Btrfs.try_on($tested, $test);
            }
        }
    };
}
pub(crate) use on_each;

/// Whether directories can be mounted here. If not, reports it.
pub fn work(tested: &str) -> bool {
    if !(tools::is_root(tested) && tools::has("mount", tested)) {
        return false;
    }
    let home = tempfile::tempdir().unwrap();
    tmpfs(&home, "trial", 1 << 20).map_err(|why| tools::not_tested(tested, &why)).is_ok()
}

/// Runs a command, and returns what it printed; the error is what it printed on stderr.
pub fn command(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(format!("{program}: {}", text(&output.stderr))) }
}

/// Something mounted on a directory.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts with these arguments, to which the directory is appended.
    pub fn new(args: &[&str], at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).unwrap();
        command("mount", &[args, &[at.to_str().unwrap()]].concat())?;
        Ok(Self(at.to_owned()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = self.0.to_str().unwrap_or_default();
        // Lazily if a failed test still has files open.
        if command("umount", &[path]).is_err() {
            let _ = command("umount", &["--lazy", path]);
        }
    }
}

/// A file system in a file.
pub struct Image {
    mounted: Option<Mounted>,
    pub kind: Kind,
    pub image: PathBuf,
    at: PathBuf,
}

impl Image {
    /// Makes a file system of that size in a directory, and mounts it there.
    pub fn new(kind: Kind, home: &Path, bytes: u64) -> Result<Self, String> {
        let (image, at) = (home.join(format!("{}.image", kind.name())), home.join(kind.name()));
        std::fs::File::create(&image).and_then(|file| file.set_len(bytes)).unwrap();
        let mkfs = format!("mkfs.{}", kind.name());
        command(&mkfs, &[kind.mkfs_options(bytes), &[image.to_str().unwrap()]].concat())?;
        let mut new = Self { mounted: None, kind, image, at };
        new.mount()?;
        Ok(new)
    }

    fn mount(&mut self) -> Result<(), String> {
        self.mount_with("")
    }

    fn mount_with(&mut self, option: &str) -> Result<(), String> {
        let options = format!("{option}{}", self.kind.mount_options());
        let image = self.image.to_str().unwrap();
        self.mounted = Some(Mounted::new(&["-t", self.kind.name(), "-o", &options, image], &self.at)?);
        Ok(())
    }

    fn unmount(&mut self) {
        self.mounted = None;
        if self.kind == Kind::Btrfs {
            // The kernel remembers the newest state of a btrfs that it has seen, and would refuse
            // an older copy.
            let _ = command("btrfs", &["device", "scan", "--forget"]);
        }
    }

    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Unmounts the file system, so that the kernel forgets what it has cached, and mounts it
    /// again.
    pub fn mount_again(&mut self) {
        self.unmount();
        self.mount().unwrap();
    }

    /// Unmounts it and mounts it for reading only.
    pub fn mount_read_only(&mut self) {
        self.unmount();
        self.mount_with("ro,").unwrap();
    }

    /// Copies what the disk would hold if power failed now. No process may be writing to it.
    pub fn copy(&self, name: &str) -> PathBuf {
        let copy = self.image.with_file_name(name);
        command("cp", &["--sparse=always", self.image.to_str().unwrap(), copy.to_str().unwrap()]).unwrap();
        copy
    }

    /// Replaces this file system by such a copy, as after a power cut.
    pub fn replace(&mut self, copy: PathBuf) {
        self.unmount();
        std::fs::rename(copy, &self.image).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.unmount();
        let _ = std::fs::remove_file(&self.image);
    }
}

/// A memory file system of that size.
pub fn tmpfs(home: &TempDir, name: &str, bytes: u64) -> Result<Mounted, String> {
    Mounted::new(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"], &home.path().join(name))
}
