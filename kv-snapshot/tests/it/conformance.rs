//! The guarantees of `Checkpointer`, by the suite that every backend runs.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use kv_core::{CheckpointId, Checkpointer, Result};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::{
    checkpointer::{CheckpointerDamage, CheckpointerFaults, CheckpointerHarness},
    vfs::{Fault, TestVfs},
};
use kv_vfs::OsVfs;
use tempfile::TempDir;

/// A directory; after a kill, a copy of it.
struct Directory {
    parent: TempDir,
    kills: u32,
    vfs: Arc<TestVfs>,
    failures_before: u64,
    /// The files that were damaged, as they were before.
    sound: BTreeMap<PathBuf, Vec<u8>>,
}

impl Directory {
    fn new() -> Self {
        let parent = TempDir::new().unwrap();
        let vfs = TestVfs::new(OsVfs::create(parent.path().join("0")).unwrap());
        Self { parent, kills: 0, vfs, failures_before: 0, sound: BTreeMap::new() }
    }

    fn path(&self) -> PathBuf {
        self.parent.path().join(self.kills.to_string())
    }
}

impl CheckpointerHarness for Directory {
    fn open(&mut self) -> Result<Arc<dyn Checkpointer>> {
        Ok(Arc::new(MmapCheckpointer::open(self.vfs.clone())?))
    }

    fn kill(&mut self) {
        self.kills += 1;
        self.vfs.image(self.path()).unwrap();
        self.vfs = TestVfs::new(OsVfs::open(self.path()).unwrap());
    }
}

impl CheckpointerFaults for Directory {
    fn fail_nth_operation(&mut self, n: u64) {
        self.failures_before = self.vfs.failures();
        self.vfs.fail(Fault::on_any().nth(n));
    }

    fn failed(&mut self) -> bool {
        self.vfs.heal();
        self.vfs.failures() > self.failures_before
    }
}

impl CheckpointerDamage for Directory {
    fn damage(&mut self, id: CheckpointId, number: u64) {
        let file = match number % 8 {
            0 => format!("{:016x}-{:016x}-{:016x}.manifest", id.epoch.0, id.lsn.0, id.seq),
            _ => format!("{:016x}.part", id.seq),
        };
        let path = self.path().join(file);
        let mut content = fs::read(&path).unwrap();
        self.sound.entry(path.clone()).or_insert_with(|| content.clone());
        // A stride that is prime to the length, and is not that of the format's blocks, comes to all places.
        let at = number as usize * 1237 % content.len();
        content[at] ^= 1 << (number % 7);
        fs::write(path, content).unwrap();
    }

    fn repair(&mut self) {
        while let Some((path, content)) = self.sound.pop_first() {
            fs::write(path, content).unwrap();
        }
    }

    fn verify(&mut self) -> Result<()> {
        let verification = MmapCheckpointer::open(self.vfs.clone())?.verify()?;
        verification.findings.into_iter().next().map_or(Ok(()), Err)
    }
}

kv_testkit::checkpointer_suite!(suite, Directory::new);
kv_testkit::checkpointer_fault_suite!(faults, Directory::new);
kv_testkit::checkpointer_damage_suite!(damage, Directory::new);
