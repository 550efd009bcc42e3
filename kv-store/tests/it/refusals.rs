//! A recovered store on a disk that takes nothing: what has the log sync before anything was
//! written is refused, and can be asked for again.

use std::io::ErrorKind;

use kv_store::{Durability, Error};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Fault, Kind},
};

use crate::support::small;

/// A store whose process was killed before the ack mark stated its last write.
fn killed() -> SimDisk {
    let disk = SimDisk::new(0);
    let store = small().open_in(disk.vfs()).unwrap();
    store.collection("c").unwrap().with_durability(Durability::Process).put("before", "v").unwrap();
    disk.killed()
}

#[test]
fn a_sync_that_is_refused_before_anything_was_written_is_not_final() {
    for (kind, error) in [
        (Kind::Write, ErrorKind::StorageFull),
        (Kind::Open, ErrorKind::ReadOnlyFilesystem),
        (Kind::Open, ErrorKind::PermissionDenied),
    ] {
        let disk = killed();
        let store = small().open_in(disk.vfs()).unwrap();
        disk.fail(Fault::on(kind).of("MARK").with(error).for_ever());
        for refused in [store.sync(), store.checkpoint().map(drop), store.sync()] {
            let is_refusal = |error: &Error| matches!(error, Error::DiskFull { .. } | Error::Io { .. });
            assert!(refused.as_ref().is_err_and(is_refusal), "{error:?}: {refused:?}");
        }
        disk.heal();
        store.sync().unwrap();
        store.collection("c").unwrap().put("after", "v").unwrap();
        store.checkpoint().unwrap();
        store.close().unwrap();
        drop(store);
        assert_eq!(small().open_in(disk.vfs()).unwrap().collection("c").unwrap().len().unwrap(), 2);
    }
}
