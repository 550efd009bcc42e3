//! Every operation that changes the disk, from the first checkpoint to an interrupted one. A
//! missing or an additional write, sync or rename shows as a difference.

use std::fmt::Write;

use kv_core::{Checkpointer, Effort};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::{sim::SimDisk, vfs::Fault};

use crate::support::{State, compare};

#[test]
fn life_of_checkpoints() {
    let disk = SimDisk::new(1);
    let mut text = String::new();
    let mut note = |disk: &SimDisk, name: &str| writeln!(text, "# {name}\n{}", disk.take_trace()).unwrap();
    let checkpointer = MmapCheckpointer::open(disk.vfs()).unwrap();
    note(&disk, "opening an empty directory");
    let mut state = State::default();
    state.put(1, b"key", b"value");
    let first = checkpointer.write(None, &mut state.take()).unwrap().id();
    note(&disk, "the first checkpoint");
    state.put(1, b"key", b"other");
    let second = checkpointer.write(Some(first), &mut state.take()).unwrap().id();
    note(&disk, "the second");
    checkpointer.remove(first).unwrap();
    note(&disk, "removing the first");
    drop(checkpointer);
    let checkpointer = MmapCheckpointer::open(disk.vfs()).unwrap();
    compare(&*checkpointer.open(second).unwrap(), &state.collections).unwrap();
    note(&disk, "opening again and reading");

    state.put(1, b"key", b"lost");
    disk.fail(Fault::on_changes().nth(6).for_ever());
    assert!(checkpointer.write(Some(second), &mut state.take()).is_err());
    disk.heal();
    note(&disk, "a checkpoint in the middle of which the process ends");
    let left = disk.killed();
    let checkpointer = MmapCheckpointer::open(left.vfs()).unwrap();
    assert_eq!(checkpointer.list().unwrap(), [second]);
    note(&left, "opening after that");
    let mut state = State { lsn: state.lsn, ..State::default() };
    state.put(1, b"key", b"new");
    checkpointer.write(Some(second), &mut state.take()).unwrap();
    note(&left, "the next checkpoint");
    checkpointer.maintain(Effort::Full, &|| false).unwrap();
    note(&left, "merging everything");
    insta::assert_snapshot!(text);
}
