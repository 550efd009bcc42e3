//! File systems of our own, which end with the value that stands for them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::tools;

/// Whether file systems can be mounted here. If not, says so.
pub fn work(tested: &str) -> bool {
    if !(tools::is_root(tested) && tools::has("mkfs.ext4", tested) && tools::has("mount", tested)) {
        return false;
    }
    let home = tempfile::tempdir().unwrap();
    match Ext4::new(home.path(), 4 << 20) {
        Ok(_) => true,
        Err(why) => {
            tools::not_tested(tested, &why);
            false
        }
    }
}

/// Runs a command; the error is what it said.
pub fn command(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(format!("{program}: {}", text(&output.stderr))) }
}

/// Something mounted on a directory.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts with these arguments, of which the directory is the last.
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
        // Lazily where a test that has failed still has files open.
        if command("umount", &[path]).is_err() {
            let _ = command("umount", &["--lazy", path]);
        }
    }
}

/// Nothing is written by itself while an image is copied, but what is flushed is at once.
const MOUNTED: &str = "loop,commit=300";

/// An ext4 in a file.
pub struct Ext4 {
    mounted: Option<Mounted>,
    pub image: PathBuf,
    at: PathBuf,
}

impl Ext4 {
    /// Makes a file system of so many bytes in a directory, and mounts it there.
    pub fn new(home: &Path, bytes: u64) -> Result<Self, String> {
        let (image, at) = (home.join("ext4.image"), home.join("ext4"));
        std::fs::File::create(&image).and_then(|file| file.set_len(bytes)).unwrap();
        // All of its own blocks are written now; no blocks are kept back for the super user, who runs this.
        let now = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let options = ["-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4", "-E", now];
        let small = ["-q", "-F", "-b", "1024", "-m", "0", "-E", now];
        let options = if bytes < 16 << 20 { &small[..] } else { &options[..] };
        command("mkfs.ext4", &[options, &[image.to_str().unwrap()]].concat())?;
        Self::of(image, at)
    }

    /// Mounts the file system in a file.
    pub fn of(image: PathBuf, at: PathBuf) -> Result<Self, String> {
        let mut ext4 = Self { mounted: None, image, at };
        ext4.mount()?;
        Ok(ext4)
    }

    fn mount(&mut self) -> Result<(), String> {
        self.mounted = Some(Mounted::new(&["-t", "ext4", "-o", MOUNTED, self.image.to_str().unwrap()], &self.at)?);
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Takes the file system away, and everything that the kernel remembers of it, and mounts it again.
    pub fn mount_again(&mut self) {
        self.mounted = None;
        self.mount().unwrap();
    }
}

/// A memory file system of so many bytes.
pub fn tmpfs(home: &TempDir, name: &str, bytes: u64) -> Result<Mounted, String> {
    Mounted::new(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"], &home.path().join(name))
}
