//! The conformance suites of kv-testkit.

use kv_testkit::harness::{InDirectory, OnDisk, in_directory, on_disk};
use kv_wal::{Options, SegmentedLog};

use crate::support::small;

/// Small segments, so that few records fill several.
fn disk() -> OnDisk<SegmentedLog> {
    on_disk(|vfs| SegmentedLog::open(vfs, Options { record_bytes_max: 1 << 20, ..small() })).records_in(".wal")
}

/// Segments with room for many flushes.
fn disk_with_larger_segments() -> OnDisk<SegmentedLog> {
    let sizes = 64 << 10;
    on_disk(move |vfs| {
        SegmentedLog::open(vfs, Options { segment_bytes_min: sizes, segment_bytes_max: sizes, ..small() })
    })
}

fn directory() -> InDirectory<SegmentedLog> {
    let options = || Options { record_bytes_max: 1 << 20, ..small() };
    in_directory(tempfile::tempdir().unwrap(), move |vfs| SegmentedLog::open(vfs, options())).records_in(".wal")
}

kv_testkit::log_suite!(suite, disk);
kv_testkit::log_power_cut_suite!(power_cut, disk);
kv_testkit::log_fault_suite!(faults, disk);
kv_testkit::log_space_suite!(space, disk);
kv_testkit::log_damage_suite!(damage, disk);
kv_testkit::log_power_cut_damage_suite!(power_cut_damage, disk);
kv_testkit::log_power_cut_damage_suite!(power_cut_damage_of_larger_segments, disk_with_larger_segments);

kv_testkit::log_suite!(suite_in_a_directory, directory);
kv_testkit::log_fault_suite!(faults_in_a_directory, directory);
