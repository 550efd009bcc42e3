//! The state that an opening would recover, without touching the disk.

use std::sync::Arc;

use kv_core::{Error, Lsn, MemoryCheckpointer, MemoryLog, MemoryLogMedium, Result, Store, StoreOptions};
use kv_testkit::{Model, Operation, Recovered, recoverable, sim::SimDisk};
use kv_vfs::{Access, Vfs};

/// A store whose only file holds the number of its entries. An opening writes to it.
#[expect(clippy::needless_pass_by_value, reason = "the store takes the directory")]
fn open(vfs: Arc<dyn Vfs>) -> Result<Store> {
    let io = |error: kv_vfs::Error| Error::from_io(error.operation, error.path, error.source);
    let file = vfs.open("count", Access::ReadWrite).map_err(io)?;
    let mut count = [0];
    file.read_exact_at(&mut count, 0).map_err(io)?;
    file.write_all_at(&[99], 0).map_err(io)?;
    let medium = MemoryLogMedium::new();
    let open = || {
        Store::with_backends(
            Arc::new(MemoryLog::open(&medium)?),
            Arc::new(MemoryCheckpointer::new()),
            StoreOptions::default(),
        )
    };
    let store = open()?;
    for key in 0..count[0] {
        store.collection("keys")?.put([key], [key; 2])?;
    }
    drop(store);
    open()
}

#[test]
fn the_state_is_returned_and_the_image_does_not_change() {
    let disk = SimDisk::new(1);
    let file = disk.vfs().create("count").unwrap();
    file.write_all_at(&[3], 0).unwrap();
    let (files, operations) = (disk.files(), disk.operations());
    let mut state = Model::default();
    for key in 0..3 {
        state.apply(&Operation::put("keys", [key], [key; 2]));
    }
    for _ in 0..2 {
        let recovered = recoverable(&disk, open).unwrap();
        assert_eq!(recovered, Recovered { position: Lsn(3), state: state.clone() });
    }
    assert_eq!((disk.files(), disk.operations()), (files, operations));
}

#[test]
fn a_refusal_is_returned() {
    let refused = recoverable(&SimDisk::new(1), open);
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
}
