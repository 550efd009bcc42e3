//! The parts of this project's engine, each measured alone.

use std::sync::Arc;

use kv_snapshot::MmapCheckpointer;
use kv_vfs::OsVfs;
use kv_wal::{Options, SegmentedLog};

use super::{CheckpointerAlone, LogAlone};
use crate::harness::engine::{Promise, Role};

/// The log of kv-wal with its default options.
pub static LOG: LogAlone = LogAlone {
    name: "kv-wal",
    role: Role::Part,
    settings: concat!("kv-wal ", env!("CARGO_PKG_VERSION")),
    promise: |level| Some(level.into()),
    open: |directory| Ok(Arc::new(SegmentedLog::open(OsVfs::open(directory)?, Options::default())?)),
};

/// The checkpointer of kv-snapshot.
pub static CHECKPOINTER: CheckpointerAlone = CheckpointerAlone {
    name: "kv-snapshot",
    role: Role::Part,
    settings: concat!("kv-snapshot ", env!("CARGO_PKG_VERSION"), ", loaded into a BTreeMap first"),
    promise: Promise::Later,
    open: |directory| Ok(Arc::new(MmapCheckpointer::open(OsVfs::open(directory)?)?)),
};
