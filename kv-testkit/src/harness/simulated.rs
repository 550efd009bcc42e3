use super::medium::{FileMedium, Medium};
use crate::{
    sim::SimDisk,
    vfs::{Fault, Files, update_files},
};

/// A simulated disk. Successive power cuts leave different states.
#[derive(Debug)]
pub struct Simulated {
    disk: SimDisk,
    cuts: u64,
    /// The files that were last restored, and a disk that holds them. Similar files are restored
    /// fast from it.
    restored: (Files, SimDisk),
}

impl Simulated {
    pub(super) fn new() -> Self {
        Self { disk: SimDisk::new(1), cuts: 0, restored: (Files::new(), SimDisk::new(1)) }
    }

    /// The current disk. A kill, a power cut and restoring files replace it by another one.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    pub(super) fn cut_power(&mut self) {
        self.cuts += 1;
        self.disk = self.disk.power_cut(self.cuts);
    }
}

impl Medium for Simulated {
    fn kill(&mut self) {
        self.disk = self.disk.killed();
    }
}

impl FileMedium for Simulated {
    fn fail(&self, fault: Fault) {
        self.disk.fail(fault);
    }

    fn heal(&self) {
        self.disk.heal();
    }

    fn failures(&self) -> u64 {
        self.disk.failures()
    }

    fn files(&self) -> Files {
        self.disk.files()
    }

    fn restore(&mut self, files: &Files) {
        let (old, disk) = &self.restored;
        self.disk = disk.killed();
        update_files(&self.disk.vfs(), old, files).unwrap();
        let differ = |(path, bytes): &(&String, &Vec<u8>)| old.get(*path) != Some(*bytes);
        if old.len() != files.len() || files.iter().filter(differ).count() > 1 {
            self.restored = (files.clone(), self.disk.killed());
        }
    }
}
