use crate::log::{
    LogDamage, LogPowerCut,
    damage::{DamageOutcome, LogAtRest, Workload},
    file_damage::{Extent, FileDamage, damaged_blocks, damaged_files, flipped_bytes, flipped_new_bytes},
};

/// The number of logs that the cases for blocks damage. Each has its records in other places.
const SHAPES: u64 = 8;
/// One in this many logs with a flipped byte appends another record and is reopened. Logs with
/// other damage always do.
const GO_ON_ONE_IN: usize = 32;

/// A closed log with a flipped bit reports damage, or has every record.
pub fn l14_flipped_bytes_after_close(harness: &mut dyn LogDamage) {
    let left = closed(harness, 3);
    check_all(harness, &left, &flipped_bytes(&left.files));
}

/// A killed log with a flipped bit reports damage, or has every durable record.
pub fn l14_flipped_bytes_after_kill(harness: &mut dyn LogDamage) {
    let left = killed(harness, 3);
    check_all(harness, &left, &flipped_bytes(&left.files));
}

/// After a power cut, a flipped bit may cost the last group and no more.
pub fn l14_flipped_bytes_after_power_cut<H: LogDamage + LogPowerCut>(harness: &mut H) {
    let left = without_power(harness, 3);
    check_all(harness, &left, &flipped_bytes(&left.files));
}

/// A closed log with a lost or foreign block reports damage, or has every record.
pub fn l14_damaged_blocks_after_close(harness: &mut dyn LogDamage) {
    for shape in 0..SHAPES {
        let left = closed(harness, shape);
        check_all(harness, &left, &damaged_blocks(&left.files, &left.older));
    }
}

/// A killed log with a lost or foreign block reports damage, or has every durable record.
pub fn l14_damaged_blocks_after_kill(harness: &mut dyn LogDamage) {
    for shape in 0..SHAPES {
        let left = killed(harness, shape);
        check_all(harness, &left, &damaged_blocks(&left.files, &left.older));
    }
}

/// After a power cut, a lost or foreign block may cost the last group and no more.
pub fn l14_damaged_blocks_after_power_cut<H: LogDamage + LogPowerCut>(harness: &mut H) {
    for shape in 0..SHAPES {
        let left = without_power(harness, shape);
        check_all(harness, &left, &damaged_blocks(&left.files, &left.older));
    }
}

/// A closed log with a missing, short, old or foreign file reports damage, or has every record.
pub fn l14_damaged_files_after_close(harness: &mut dyn LogDamage) {
    let left = closed(harness, 3);
    check_all(harness, &left, &damaged_files(&left.files, &left.older));
}

/// A killed log with a missing, short, old or foreign file reports damage, or has every durable
/// record.
pub fn l14_damaged_files_after_kill(harness: &mut dyn LogDamage) {
    let left = killed(harness, 3);
    check_all(harness, &left, &damaged_files(&left.files, &left.older));
}

/// After a power cut, a missing, short, old or foreign file leaves a prefix of what was appended.
pub fn l14_damaged_files_after_power_cut<H: LogDamage + LogPowerCut>(harness: &mut H) {
    for shape in [3, 6] {
        let left = without_power(harness, shape);
        check_all(harness, &left, &damaged_files(&left.files, &left.older));
    }
}

/// A torn tail is cut. The log still opens, reports the cut, and the cut records do not come back.
/// A log that gives no record to the kernel before its flush has no such tail.
pub fn l14_torn_tail_is_cut_and_reported(harness: &mut dyn LogDamage) {
    for shape in [3, 6] {
        let left = killed(harness, shape);
        let Some(flushed) = left.older.last() else { return };
        for damage in flipped_new_bytes(&left.files, flushed) {
            let found = left.check_damaged(harness, &damage, true);
            assert!(
                found != DamageOutcome::Reported,
                "L14: a torn tail is refused, though nothing proves that it was durable ({damage})"
            );
        }
    }
}

fn closed(harness: &mut dyn LogDamage, shape: u64) -> LogAtRest {
    Workload::run(harness, shape).close(harness)
}

fn killed(harness: &mut dyn LogDamage, shape: u64) -> LogAtRest {
    Workload::run(harness, shape).kill(harness)
}

fn without_power<H: LogDamage + LogPowerCut>(harness: &mut H, shape: u64) -> LogAtRest {
    let workload = Workload::run(harness, shape);
    harness.cut_power();
    workload.after_power_cut(harness)
}

fn check_all(harness: &mut (impl LogDamage + ?Sized), left: &LogAtRest, damages: &[FileDamage]) {
    assert!(damages.len() > 10, "the harness has no files of the log");
    for (n, damage) in damages.iter().enumerate() {
        left.check_damaged(harness, damage, damage.extent() != Extent::Byte || n % GO_ON_ONE_IN == 0);
    }
}
