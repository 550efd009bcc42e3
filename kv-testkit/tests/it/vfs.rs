use std::{fs, io::ErrorKind, sync::Arc};

use kv_testkit::vfs::{Fault, Kind, TestVfs};
use kv_vfs::{Access, OsVfs, Vfs};
use tempfile::TempDir;

fn vfs() -> (TempDir, Arc<TestVfs>) {
    let directory = tempfile::tempdir().unwrap();
    let vfs = TestVfs::new(OsVfs::create(directory.path().join("top")).unwrap());
    (directory, vfs)
}

/// A typical sequence of file operations of a backend.
fn workload(vfs: &dyn Vfs) -> kv_vfs::Result<()> {
    let log = vfs.create_directory("log")?;
    vfs.sync_directory()?;
    let file = log.create("a.tmp")?;
    file.write_all_at(b"hello world", 0)?;
    file.set_len(8192)?;
    file.sync_data()?;
    log.rename("a.tmp", "a")?;
    log.sync_directory()?;
    let mut buffer = [0; 5];
    log.open("a", Access::Read)?.read_exact_at(&mut buffer, 0)?;
    log.remove("a")
}

#[test]
fn traces_what_changes_the_disk() {
    let (_directory, vfs) = vfs();
    workload(&*vfs).unwrap();
    let expected = "\
create directory log
sync directory
create log/a.tmp
write log/a.tmp 0+11
set length log/a.tmp 8192
sync log/a.tmp
rename log/a.tmp log/a
sync directory log
remove log/a
";
    assert_eq!(vfs.take_trace(), expected);
    assert_eq!(vfs.take_trace(), "");
    assert_eq!((vfs.count(Kind::Read), vfs.count(Kind::SyncDirectory)), (1, 2));
    assert!(vfs.open("absent", Access::Read).is_err());
}

#[test]
fn each_operation_can_be_made_to_fail() {
    let mut operations = 0;
    for n in 1.. {
        let (_directory, vfs) = vfs();
        vfs.fail(Fault::on_any().nth(n).with(ErrorKind::StorageFull));
        match workload(&*vfs) {
            Ok(()) => {
                assert_eq!(vfs.failures(), 0);
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull),
        }
        assert_eq!(vfs.failures(), 1);
        operations = n;
    }
    assert_eq!(operations, 11);
}

#[test]
fn faults_meet_what_they_are_for() {
    let (_directory, vfs) = vfs();
    vfs.fail(Fault::on(Kind::Sync).of("log/").nth(2).for_ever());
    let inside = vfs.create_directory("log").unwrap().create("f").unwrap();
    let outside = vfs.create("f").unwrap();
    for _ in 0..4 {
        outside.sync_data().unwrap();
    }
    inside.sync_data().unwrap();
    assert!(inside.sync_data().is_err());
    assert!(inside.sync_data().is_err());
    vfs.heal();
    inside.sync_data().unwrap();

    vfs.fail(Fault::on(Kind::Rename).of("target"));
    assert!(vfs.rename("f", "target").is_err());
    vfs.rename("f", "target").unwrap();

    vfs.fail(Fault::on_changes());
    outside.len().unwrap();
    assert!(outside.set_len(1).is_err());
    outside.set_len(0).unwrap();
}

#[test]
fn what_only_reads_is_out_of_memory_where_nothing_is_repeated() {
    let mut kinds = Vec::new();
    for n in 1..=11 {
        let (_directory, vfs) = vfs();
        vfs.fail(Fault::on_any().nth(n).never_repeated());
        kinds.push(workload(&*vfs).unwrap_err().source.raw_os_error());
    }
    let (medium, memory) = (Some(libc::EIO), None);
    assert_eq!(kinds[..8], [medium; 8]);
    assert_eq!(kinds[8..], [memory, memory, medium], "open, read, remove");
}

#[test]
fn a_torn_write_leaves_half() {
    let (_directory, vfs) = vfs();
    let file = vfs.create("f").unwrap();
    vfs.fail(Fault::on(Kind::Write).torn());
    assert!(file.write_all_at(b"12345678", 0).is_err());
    assert_eq!(file.len().unwrap(), 4);
    assert_eq!(vfs.take_trace(), "create f\nwrite f 0+8 torn\n");
}

#[test]
fn random_numbers_come_from_the_seed() {
    let numbers = |seed| {
        let directory = tempfile::tempdir().unwrap();
        let vfs = TestVfs::with_seed(OsVfs::open(directory.path()).unwrap(), seed);
        [vfs.random().unwrap(), vfs.create_directory("d").unwrap().random().unwrap()]
    };
    assert_eq!(numbers(1), numbers(1));
    assert_ne!(numbers(1), numbers(2));
    assert_ne!(numbers(1)[0], numbers(1)[1]);
}

#[test]
fn an_image_has_everything_that_was_written() {
    let (directory, vfs) = vfs();
    let file = vfs.create_directory("log").unwrap().create("f").unwrap();
    file.write_all_at(b"before", 0).unwrap();
    let image = directory.path().join("image");
    vfs.image(&image).unwrap();
    file.write_all_at(b"after ", 0).unwrap();
    assert_eq!(fs::read(image.join("log/f")).unwrap(), b"before");
    assert!(vfs.image(&image).is_err(), "an image never mixes with another");
}

#[test]
fn what_is_interrupted_is_repeated_but_for_a_sync() {
    let (_directory, vfs) = vfs();
    vfs.fail(Fault::on_any().for_ever().with(ErrorKind::Interrupted));
    let file = vfs.create("f").unwrap();
    file.write_all_at(b"hello", 0).unwrap();
    file.read_exact_at(&mut [0; 5], 0).unwrap();
    vfs.open("f", Access::Read).unwrap();
    assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(vfs.failures(), 1);
}
