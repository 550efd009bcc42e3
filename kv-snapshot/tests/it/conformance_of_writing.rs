//! The guarantees of `Checkpointer` for writes that fail or are cut off. They do not depend on how
//! parts are read.

use crate::conformance::{directory, disk};

kv_testkit::checkpointer_power_cut_suite!(power_cut, disk);
kv_testkit::checkpointer_fault_suite!(faults, disk);
kv_testkit::checkpointer_fault_suite!(faults_in_a_directory, directory);
