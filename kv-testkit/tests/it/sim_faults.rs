//! What a simulated disk does wrong on demand: failures, lies, no space, damage.

use std::io::ErrorKind;

use kv_testkit::{
    sim::{CrashModel, Damage, SimDisk},
    vfs::{Fault, Kind},
};
use kv_vfs::Access;

use crate::sim::{POWER_CUTS, content, left, with_old, written};

#[test]
fn a_lying_disk_loses_what_was_synced() {
    let disk = with_old();
    disk.lie();
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    assert_eq!(content(&disk, "f").unwrap(), b"new");
    assert_eq!(left(&disk, CrashModel::Posix, "f").unwrap(), b"old");
}

#[test]
fn a_failed_sync_forgets_and_the_next_one_succeeds_without() {
    let disk = with_old();
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    disk.fail(Fault::on(Kind::Sync).forgetful());
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(content(&disk, "f").unwrap(), b"new", "readers see it");
    assert_eq!(left(&disk, CrashModel::Ext4, "f").unwrap(), b"old");
    file.drop_cache().unwrap();
    assert_eq!(content(&disk, "f").unwrap(), b"old", "until the cache is dropped");
}

#[test]
fn faults_of_every_kind() {
    let disk = with_old();
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    disk.fail(Fault::on(Kind::Write).short());
    assert_eq!(file.write_at(b"1234", 0).unwrap(), 2);
    disk.fail(Fault::on(Kind::Read).short());
    let mut read = [0; 3];
    assert_eq!((file.read_at(&mut read, 0).unwrap(), read), (2, [b'1', b'2', 0]));
    disk.fail(Fault::on(Kind::Write).torn().with(ErrorKind::StorageFull));
    assert_eq!(file.write_at(b"abcd", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk, "f").unwrap(), b"abd");
    for kind in [Kind::Open, Kind::Read, Kind::Write] {
        disk.fail(Fault::on(kind).with(ErrorKind::Interrupted));
    }
    file.write_all_at(b"xyz", 0).unwrap();
    let mut read = [0; 3];
    disk.vfs().open("f", Access::Read).unwrap().read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, *b"xyz", "what is interrupted is repeated");
    disk.fail(Fault::on(Kind::Sync).with(ErrorKind::Interrupted));
    assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Interrupted, "but not a sync");
    disk.fail(Fault::on(Kind::Sync).pretended());
    file.sync_data().unwrap();
    assert_eq!(left(&disk, CrashModel::Ext4, "f").unwrap(), b"old");
    assert_eq!(disk.failures(), 2);
}

#[test]
fn after_a_stop_everything_fails_and_nothing_changes() {
    let disk = with_old();
    disk.stop_at(disk.operations() + 1);
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    assert!(file.write_all_at(b"new", 0).is_err());
    assert!(disk.vfs().list().is_err());
    assert_eq!(content(&disk, "f").unwrap(), b"old");
    disk.heal();
    assert_eq!(disk.vfs().list().unwrap(), ["f"]);
}

#[test]
fn space_ends_for_what_is_new_only() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", &[1; 8192]);
    assert_eq!(disk.space_bytes(), 8192);
    disk.limit_space(8192);
    file.write_all_at(&[2; 8192], 0).unwrap();
    assert_eq!(file.write_at(b"x", 8192).unwrap_err().kind(), ErrorKind::StorageFull);
    file.set_len(1 << 30).unwrap(); // a hole takes none
    disk.vfs().remove("f").unwrap();
    disk.limit_space(10_000);
    assert!(disk.vfs().create("g").unwrap().write_at(b"x", 0).is_err(), "it is open and still takes space");
    drop(file);
    written(&disk, "h", b"x");
}

#[test]
fn bits_rot() {
    let disk = SimDisk::new(1);
    written(&disk, "f", &[[1; 512], [2; 512]].concat());
    assert!(disk.damage("f", &Damage::SwappedSectors(0, 1)));
    assert!(disk.damage("f", &Damage::FlippedBit(8)));
    assert!(disk.damage("f", &Damage::ZeroedSector(1)));
    let bytes = content(&disk, "f").unwrap();
    assert_eq!((&bytes[..3], bytes[512], bytes.len()), (&[2, 3, 2][..], 0, 1024));
    assert!(disk.damage("f", &Damage::ForeignSector(1, vec![9; 512])) && disk.damage("f", &Damage::Cut(600)));
    assert_eq!(content(&disk, "f").unwrap()[512..], [9; 88]);
    assert!(!disk.damage("f", &Damage::ZeroedSector(2)) && !disk.damage("g", &Damage::ZeroedSector(0)));
}

#[test]
fn a_write_that_takes_nothing_is_an_error_above() {
    let disk = with_old();
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    disk.fail(Fault::on(Kind::Write).empty());
    assert_eq!(file.write_at(b"new", 0).unwrap(), 0);
    disk.fail(Fault::on(Kind::Write).empty().nth(2));
    disk.fail(Fault::on(Kind::Write).short());
    assert_eq!(file.write_all_at(b"new", 0).unwrap_err().kind(), ErrorKind::WriteZero);
    assert_eq!(content(&disk, "f").unwrap(), b"ned", "the short write before it was done");
    disk.fail(Fault::on(Kind::Write).short().for_ever());
    file.write_all_at(b"whole", 0).unwrap();
    assert_eq!(content(&disk, "f").unwrap(), b"whole", "short writes are continued");
}

#[test]
fn what_is_interrupted_is_repeated_but_for_what_never_is() {
    let disk = SimDisk::new(1);
    disk.fail(Fault::on_any().for_ever().with(ErrorKind::Interrupted));
    let vfs = disk.vfs();
    let file = vfs.create("f").unwrap();
    file.write_all_at(b"new", 0).unwrap();
    file.read_exact_at(&mut [0; 3], 0).unwrap();
    vfs.open("f", Access::Read).unwrap();
    vfs.create_directory("d").unwrap_err();
    drop(vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap());
    let refused = [file.sync_data(), vfs.sync_directory(), vfs.rename("f", "g"), vfs.remove("f"), file.set_len(1)];
    for result in refused {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
    }
    assert_eq!(content(&disk, "f").unwrap(), b"new");
}

#[test]
fn an_allocation_that_fails_may_leave_the_file_enlarged() {
    let disk = with_old();
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    disk.fail(Fault::on(Kind::Write).enlarging().with(ErrorKind::StorageFull));
    assert_eq!(file.write_at(b"new", 9).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk, "f").unwrap(), b"old\0\0\0\0\0\0\0\0\0");
    disk.fail(Fault::on(Kind::SetLen).enlarging());
    assert!(file.set_len(20).is_err());
    assert_eq!(file.len().unwrap(), 20);
    file.set_len(3).unwrap();
    assert_eq!(content(&disk, "f").unwrap(), b"old", "the length can be put back");
}

#[test]
fn a_write_takes_what_there_is_space_for() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", &[1; 100]);
    disk.limit_space(3 * 4096);
    assert_eq!(file.write_at(&[2; 20_000], 50).unwrap(), 3 * 4096 - 50, "one page exists, and there is space for two");
    assert_eq!(file.write_at(&[2; 20_000], 3 * 4096).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_all_at(&[3; 20_000], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk, "f").unwrap(), [3; 3 * 4096]);
    file.set_len(0).unwrap();
    file.write_all_at(&[4; 3 * 4096], 1 << 20).unwrap();
}

#[test]
fn sectors_are_stale_or_go_astray() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", &[1; 1000]);
    assert_eq!(disk.stale_sector("f", 0), None, "it has no earlier content");
    file.write_all_at(&[1; 100], 0).unwrap();
    assert_eq!(disk.stale_sector("f", 0), None, "and still has none");
    file.write_all_at(&[2; 700], 0).unwrap();
    file.write_all_at(&[3; 10], 20).unwrap();
    let stale = disk.stale_sector("f", 0).unwrap();
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    for model in POWER_CUTS {
        // Whether the disk copies on write is a property of the disk, so a crash keeps it.
        let left = disk.crash(&disk.crash_states(model, 1, 0)[0]);
        assert_eq!(left.stale_sector("f", 0), Some(stale.clone()), "{model}");
    }
    assert!(disk.damage("f", &stale));
    assert_eq!(content(&disk, "f").unwrap()[..700], [2; 700], "as it was before the last change of it");
    assert!(disk.damage("f", &disk.stale_sector("f", 1).unwrap()));
    assert_eq!(content(&disk, "f").unwrap(), [&[2; 512][..], &[1; 488]].concat());

    written(&disk, "g", &[7; 600]);
    assert!(disk.damage("f", &disk.misdirected_sector(1, "g", 0).unwrap()));
    assert!(disk.damage("f", &disk.misdirected_sector(0, "g", 1).unwrap()));
    let bytes = content(&disk, "f").unwrap();
    assert_eq!((&bytes[..88], &bytes[88..512], &bytes[512..]), (&[7; 88][..], &[2; 424][..], &[7; 488][..]));
    assert_eq!(disk.misdirected_sector(0, "g", 2), None);
    assert_eq!(disk.misdirected_sector(0, "absent", 0), None);
    assert_eq!(disk.stale_sector("absent", 0), None);
}

#[test]
fn damage_on_the_way_is_read_and_mapped_and_not_on_the_disk() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", &[1; 1024]);
    let read = || {
        let mut bytes = [0; 1024];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    disk.fail(Fault::on(Kind::Read).of("f").nth(2).damaged(Damage::FlippedBit(8 * 600 + 1)));
    assert_eq!(read(), [1; 1024]);
    assert_eq!(read()[598..603], [1, 1, 3, 1, 1]);
    assert_eq!(read(), [1; 1024], "once");
    disk.fail(Fault::on(Kind::Map).for_ever().damaged(Damage::ZeroedSector(1)));
    for _ in 0..2 {
        assert_eq!(file.map().unwrap()[..], [[1; 512], [0; 512]].concat());
    }
    assert_eq!(content(&disk, "f").unwrap(), [1; 1024]);
    disk.fail(Fault::on(Kind::Sync).damaged(Damage::ZeroedSector(1)));
    assert!(file.sync_data().is_err(), "only reads are damaged");
}
