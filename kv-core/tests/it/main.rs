//! The tests of kv-core.

mod conformance;
