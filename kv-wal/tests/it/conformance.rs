//! The suites that every log passes.

use std::{io::ErrorKind, sync::Arc};

use kv_core::{Log, Result};
use kv_testkit::{
    log::{LogFaults, LogHarness, LogPowerCut, LogSpace},
    vfs::{Fault, Kind, TestVfs},
};
use kv_vfs::OsVfs;
use kv_wal::{Options, SegmentedLog};

use crate::{
    memory::{Files, MemoryVfs},
    support::small,
};

/// Small segments, so that few records fill several.
fn options() -> Options {
    Options { record_bytes_max: 1 << 20, ..small() }
}

/// A directory of the operating system.
struct OnDisk {
    parent: tempfile::TempDir,
    kills: u32,
    vfs: Arc<TestVfs>,
}

impl OnDisk {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let vfs = TestVfs::new(OsVfs::create(parent.path().join("0")).unwrap());
        Self { parent, kills: 0, vfs }
    }
}

impl LogHarness for OnDisk {
    fn open(&mut self) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(SegmentedLog::open(self.vfs.clone(), options())?))
    }

    fn kill(&mut self) {
        self.kills += 1;
        let image = self.parent.path().join(self.kills.to_string());
        self.vfs.image(&image).unwrap();
        self.vfs = TestVfs::new(OsVfs::open(image).unwrap());
    }
}

impl LogFaults for OnDisk {
    fn fail_next_flush(&mut self) {
        self.vfs.fail(Fault::on(Kind::Sync).of(".wal"));
    }
}

impl LogSpace for OnDisk {
    fn fill(&mut self) {
        self.vfs.fail(Fault::on(Kind::Create).for_ever().with(ErrorKind::StorageFull));
    }

    fn free(&mut self) {
        self.vfs.heal();
    }
}

kv_testkit::log_suite!(on_disk, OnDisk::new);
kv_testkit::log_fault_suite!(on_disk_faults, OnDisk::new);
kv_testkit::log_space_suite!(on_disk_space, OnDisk::new);

/// A disk whose power can be cut.
struct InMemory {
    vfs: Arc<MemoryVfs>,
    rng: fastrand::Rng,
}

impl InMemory {
    fn new() -> Self {
        Self { vfs: MemoryVfs::new(&Files::new()), rng: fastrand::Rng::with_seed(7) }
    }
}

impl LogHarness for InMemory {
    fn open(&mut self) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(SegmentedLog::open(self.vfs.clone(), options())?))
    }

    fn kill(&mut self) {
        self.vfs = MemoryVfs::new(&self.vfs.files());
    }
}

impl LogPowerCut for InMemory {
    fn cut_power(&mut self) {
        self.vfs = MemoryVfs::new(&self.vfs.cut_power(&mut self.rng));
    }
}

kv_testkit::log_suite!(in_memory, InMemory::new);
kv_testkit::log_power_cut_suite!(in_memory_power_cut, InMemory::new);
