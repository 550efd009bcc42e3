//! The backends in memory keep the guarantees of their traits.

use std::sync::Arc;

use kv_core::{
    CheckpointDamage, CheckpointId, Checkpointer, Crash, Error, Log, MemoryCheckpointMedium, MemoryCheckpointer,
    MemoryLog, MemoryLogMedium, Result,
};
use kv_testkit::{
    checkpointer::{CheckpointerDamage, CheckpointerFaults, CheckpointerHarness, CheckpointerPowerCut},
    log::{LogFaults, LogHarness, LogPowerCut, LogSpace},
};

struct LogInMemory {
    medium: MemoryLogMedium,
}

impl LogInMemory {
    fn new() -> Self {
        Self { medium: MemoryLogMedium::with_record_bytes_max(4 << 20) }
    }
}

impl LogHarness for LogInMemory {
    fn open(&mut self) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(MemoryLog::open(&self.medium)?))
    }

    fn kill(&mut self) {
        self.medium = self.medium.after(Crash::Killed);
    }
}

impl LogPowerCut for LogInMemory {
    fn cut_power(&mut self) {
        self.medium = self.medium.after(Crash::PowerCut);
    }
}

impl LogFaults for LogInMemory {
    fn fail_next_flush(&mut self) {
        self.medium.fail_next_flush();
    }
}

impl LogSpace for LogInMemory {
    fn fill(&mut self) {
        self.medium.set_full(true);
    }

    fn free(&mut self) {
        self.medium.set_full(false);
    }
}

kv_testkit::log_suite!(log, LogInMemory::new);
kv_testkit::log_power_cut_suite!(log_power_cut, LogInMemory::new);
kv_testkit::log_fault_suite!(log_faults, LogInMemory::new);
kv_testkit::log_space_suite!(log_space, LogInMemory::new);

#[test]
fn a_log_in_memory_has_one_owner() {
    let log = MemoryLog::new();
    assert!(matches!(MemoryLog::open(log.medium()), Err(Error::Locked { .. })));
    let crashed = MemoryLog::open(&log.medium().after(Crash::Killed)).unwrap();
    assert_eq!(crashed.id(), log.id());
    let medium = log.medium().clone();
    drop(log);
    MemoryLog::open(&medium).unwrap();
}

#[derive(Default)]
struct CheckpointsInMemory {
    medium: MemoryCheckpointMedium,
    fails: bool,
}

impl CheckpointerHarness for CheckpointsInMemory {
    fn open(&mut self) -> Result<Arc<dyn Checkpointer>> {
        Ok(Arc::new(MemoryCheckpointer::open(&self.medium)))
    }

    fn kill(&mut self) {
        self.medium = self.medium.after_crash();
    }
}

impl CheckpointerPowerCut for CheckpointsInMemory {
    fn cut_power(&mut self) {
        self.medium = self.medium.after_crash();
    }
}

impl CheckpointerFaults for CheckpointsInMemory {
    /// Publishing is the only operation on this medium.
    fn fail_nth_operation(&mut self, n: u64) {
        self.fails = n == 1;
        if self.fails {
            self.medium.fail_next_write();
        }
    }

    fn failed(&mut self) -> bool {
        self.fails
    }
}

impl CheckpointerDamage for CheckpointsInMemory {
    fn damage(&mut self, id: CheckpointId, number: u64) {
        let damage = if number.is_multiple_of(2) { CheckpointDamage::Head } else { CheckpointDamage::Entries };
        self.medium.damage(id, damage);
    }

    fn repair(&mut self) {
        self.medium.repair();
    }

    fn verify(&mut self) -> Result<()> {
        self.medium.verify()
    }
}

kv_testkit::checkpointer_suite!(checkpointer, CheckpointsInMemory::default);
kv_testkit::checkpointer_power_cut_suite!(checkpointer_power_cut, CheckpointsInMemory::default);
kv_testkit::checkpointer_fault_suite!(checkpointer_faults, CheckpointsInMemory::default);
kv_testkit::checkpointer_damage_suite!(checkpointer_damage, CheckpointsInMemory::default);

#[test]
fn what_is_set_aside_is_kept() {
    let mut harness = CheckpointsInMemory::default();
    kv_testkit::checkpointer::cases::c7_sets_newer_ones_aside(&mut harness);
    assert_eq!(harness.medium.set_aside().len(), 2);
}
