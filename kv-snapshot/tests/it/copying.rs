//! Copies of a checkpoint in another directory.

use std::sync::Arc;

use kv_core::{Checkpointer, Error, LogId};
use kv_snapshot::{MmapCheckpointer, Sharing, verify};
use kv_testkit::sim::{CrashModel, Damage, Exploration, SimDisk};
use kv_vfs::Vfs;

use crate::support::{State, compare, open};

const COPY: LogId = LogId(77);

/// Checkpoints, the newest of which has two parts, and its state.
fn filled(vfs: Arc<dyn Vfs>) -> (MmapCheckpointer, State) {
    let (checkpointer, mut state) = (open(vfs).unwrap(), State::default());
    let mut previous = None;
    for round in 0..2_u8 {
        (0..50).for_each(|key| state.put(u32::from(round), &[key, round], &[round; 40]));
        previous = Some(checkpointer.write(previous, &mut state.take()).unwrap().id());
    }
    (checkpointer, state)
}

/// Compares the only checkpoint in a directory with a state.
fn check(vfs: &Arc<dyn Vfs>, state: &State) {
    let report = verify(&**vfs).unwrap();
    assert!(report.is_clean() && report.checkpoints == 1, "{report:?}");
    let copies = open(Arc::clone(vfs)).unwrap();
    let copy = Checkpointer::open(&copies, copies.list().unwrap()[0]).unwrap();
    assert_eq!(copy.head().log_id, COPY);
    compare(&*copy, &state.collections).unwrap();
}

#[test]
fn a_copy_holds_the_same_and_goes_on_by_itself() {
    let disk = SimDisk::new(1);
    let (checkpointer, mut state) = filled(disk.vfs().create_directory("original").unwrap());
    let mut earlier: Option<Arc<dyn Vfs>> = None;
    for (name, sharing) in [("copied", false), ("linked", true), ("as the one before", true)] {
        let vfs = disk.vfs().create_directory(name).unwrap();
        let links = || Sharing::Links { earlier: earlier.clone() };
        let sharing = if sharing { links() } else { Sharing::Nothing };
        let copied = checkpointer.copy_newest(&vfs, COPY, &sharing).unwrap().unwrap();
        assert_eq!(Some(&copied.id), checkpointer.list().unwrap().first());
        assert_eq!(copied.linked_bytes > 0, matches!(sharing, Sharing::Links { .. }), "{name}");
        assert_eq!(copied.copied_bytes > 0, matches!(sharing, Sharing::Nothing), "{name}");
        check(&vfs, &state);
        earlier = Some(vfs);
    }
    // Merging in the copy, and removing what was merged, leaves the original alone.
    let linked = open(disk.vfs().open_directory("linked").unwrap()).unwrap();
    let before = linked.list().unwrap()[0];
    Checkpointer::open(&linked, before).unwrap();
    let merged = linked.maintain(kv_core::Effort::Full, &|| false).unwrap().unwrap();
    linked.remove(before).unwrap();
    compare(&*merged, &state.collections).unwrap();
    state.put(0, b"more", b"in the original");
    let newest = checkpointer.list().unwrap()[0];
    let newest = checkpointer.write(Some(newest), &mut state.take()).unwrap();
    compare(&*newest, &state.collections).unwrap();
    assert!(checkpointer.verify().unwrap().is_clean());
}

#[test]
fn without_a_checkpoint_there_is_nothing_to_copy() {
    let disk = SimDisk::new(1);
    let checkpointer = open(disk.vfs().create_directory("original").unwrap()).unwrap();
    let copy = disk.vfs().create_directory("copy").unwrap();
    assert_eq!(checkpointer.copy_newest(&copy, COPY, &Sharing::Nothing).unwrap(), None);
    assert!(copy.list().unwrap().is_empty());
}

/// Damage is refused however the part would get there. If only the earlier copy is damaged, the
/// original stands in.
#[test]
fn damage_is_not_copied() {
    let part = "0000000000000001.part";
    for links in [false, true] {
        let disk = SimDisk::new(1);
        let (checkpointer, _) = filled(disk.vfs().create_directory("original").unwrap());
        assert!(disk.damage(&format!("original/{part}"), &Damage::FlippedBit(8 * 5000)));
        let copy = disk.vfs().create_directory("copy").unwrap();
        let sharing = if links { Sharing::Links { earlier: None } } else { Sharing::Nothing };
        let refused = checkpointer.copy_newest(&copy, COPY, &sharing).unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
        assert_eq!(verify(&*copy).unwrap().checkpoints, 0);
    }
    let (disk, other) = (SimDisk::new(1), SimDisk::new(2));
    let (checkpointer, state) = filled(disk.vfs());
    let earlier = other.vfs().create_directory("earlier").unwrap();
    let links = |earlier| Sharing::Links { earlier };
    checkpointer.copy_newest(&earlier, COPY, &links(None)).unwrap();
    assert!(other.damage(&format!("earlier/{part}"), &Damage::Cut(4096)));
    let copy = other.vfs().create_directory("copy").unwrap();
    let copied = checkpointer.copy_newest(&copy, COPY, &links(Some(earlier))).unwrap().unwrap();
    assert!(copied.copied_bytes > 0 && copied.linked_bytes > 0, "{copied:?}");
    check(&copy, &state);
}

/// A manifest that a power cut leaves finds its parts.
#[test]
fn a_copy_is_whole_or_none_after_any_crash() {
    for links in [false, true] {
        let exploration = Exploration::from_env(4000);
        let disk = SimDisk::new(exploration.seed());
        let original = disk.vfs().create_directory("original").unwrap();
        let copy = disk.vfs().create_directory("copy").unwrap();
        disk.vfs().sync_directory().unwrap();
        let (checkpointer, state) = filled(original);
        disk.record();
        let sharing = if links { Sharing::Links { earlier: None } } else { Sharing::Nothing };
        checkpointer.copy_newest(&copy, COPY, &sharing).unwrap();
        let done_at = disk.operations();
        drop(checkpointer);
        exploration.run("copying", &disk.take_recording(), &CrashModel::ALL, &|moment, _, left| {
            let copy = left.vfs().open_directory("copy").unwrap();
            match verify(&*copy).unwrap().checkpoints {
                0 => assert!(moment.operation < done_at, "the copy is lost"),
                _ => check(&copy, &state),
            }
            assert!(verify(&*left.vfs().open_directory("original").unwrap()).unwrap().is_clean());
        });
    }
}
