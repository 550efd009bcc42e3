//! The guarantees of `Checkpointer`, with the suites that every backend runs. Those about writing
//! are in `conformance_of_writing`.

use std::sync::Arc;

use kv_core::{CheckpointId, Checkpointer, Result};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::{
    checkpointer::{CheckpointerDamage, CheckpointerHarness},
    harness::{InDirectory, OnDisk, in_directory, on_disk},
    vfs::Files,
};

use crate::support::open;

pub fn disk() -> OnDisk<MmapCheckpointer> {
    on_disk(open)
}

pub fn directory() -> InDirectory<MmapCheckpointer> {
    in_directory(tempfile::tempdir().unwrap(), open)
}

/// Files that can be damaged.
struct Damaged {
    harness: InDirectory<MmapCheckpointer>,
    /// The damaged files, as they were before.
    sound: Files,
}

impl Damaged {
    fn new() -> Self {
        Self { harness: directory(), sound: Files::new() }
    }
}

impl CheckpointerHarness for Damaged {
    fn open(&mut self) -> Result<Arc<dyn Checkpointer>> {
        self.harness.open()
    }

    fn kill(&mut self) {
        self.harness.kill();
    }
}

impl CheckpointerDamage for Damaged {
    fn damage(&mut self, id: CheckpointId, number: u64) {
        let name = match number % 8 {
            0 => format!("{:016x}-{:016x}-{:016x}.manifest", id.epoch.0, id.lsn.0, id.seq),
            _ => format!("{:016x}.part", id.seq),
        };
        let mut files = self.harness.files();
        let content = files.get_mut(&name).unwrap();
        self.sound.entry(name).or_insert_with(|| content.clone());
        // A stride that shares no factor with the length, nor with the size of a block, reaches
        // every byte.
        let at = number as usize * 1237 % content.len();
        content[at] ^= 1 << (number % 7);
        self.harness.restore(&files);
    }

    fn repair(&mut self) {
        let mut files = self.harness.files();
        files.append(&mut self.sound);
        self.harness.restore(&files);
    }

    fn verify(&mut self) -> Result<()> {
        let report = open(self.harness.medium().vfs())?.verify()?;
        report.findings.into_iter().next().map_or(Ok(()), Err)
    }
}

kv_testkit::checkpointer_suite!(suite, disk);
kv_testkit::checkpointer_suite!(suite_in_a_directory, directory);
kv_testkit::checkpointer_damage_suite!(damage, Damaged::new);
