//! The backends in memory keep the guarantees of their traits.

use kv_core::{Crash, Error, Log, MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium};
use kv_testkit::harness::{Harness, in_memory};

fn log_in_memory() -> Harness<MemoryLogMedium, MemoryLog> {
    in_memory(MemoryLogMedium::with_record_bytes_max(4 << 20), |medium| MemoryLog::open(medium))
}

fn checkpoints_in_memory() -> Harness<MemoryCheckpointMedium, MemoryCheckpointer> {
    in_memory(MemoryCheckpointMedium::new(), |medium| Ok(MemoryCheckpointer::open(medium)))
}

kv_testkit::log_suite!(log, log_in_memory);
kv_testkit::log_power_cut_suite!(log_power_cut, log_in_memory);
kv_testkit::log_fault_suite!(log_faults, log_in_memory);
kv_testkit::log_space_suite!(log_space, log_in_memory);

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

kv_testkit::checkpointer_suite!(checkpointer, checkpoints_in_memory);
kv_testkit::checkpointer_power_cut_suite!(checkpointer_power_cut, checkpoints_in_memory);
kv_testkit::checkpointer_fault_suite!(checkpointer_faults, checkpoints_in_memory);
kv_testkit::checkpointer_damage_suite!(checkpointer_damage, checkpoints_in_memory);

#[test]
fn what_is_set_aside_is_kept() {
    let mut harness = checkpoints_in_memory();
    kv_testkit::checkpointer::cases::c7_sets_newer_ones_aside(&mut harness);
    assert_eq!(harness.medium().set_aside().len(), 2);
}
