//! Traces and recordings, and what explorations make of them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
};

use kv_testkit::sim::{CrashChoice, CrashModel, Exploration, SimDisk};
use kv_vfs::{Access, Vfs};

use crate::sim::{POWER_CUTS, content, with_old, written};

#[test]
fn a_trace_shows_writes_syncs_and_names() {
    let disk = SimDisk::new(1);
    let log = disk.vfs().create_directory("log").unwrap();
    let file = log.create("a.tmp").unwrap();
    file.write_all_at(b"hello", 0).unwrap();
    file.sync_data().unwrap();
    log.rename("a.tmp", "a").unwrap();
    log.sync_directory().unwrap();
    assert!(log.create("a").is_err());
    let expected = "\
create directory log
create log/a.tmp
write log/a.tmp 0+5
sync log/a.tmp
rename log/a.tmp log/a
sync directory log
create log/a failed
";
    assert_eq!(disk.take_trace(), expected);
}

#[test]
fn a_choice_prints_as_it_is_parsed_and_means_the_same_each_time() {
    let disk = with_old();
    written(&disk, "g", &[5; 3000]);
    disk.vfs().rename("g", "f").unwrap();
    for model in CrashModel::ALL {
        for choice in disk.crash_states(model, 50, 7) {
            assert_eq!(choice.to_string().parse(), Ok(choice.clone()));
            assert_eq!(disk.crash(&choice).files(), disk.crash(&choice).files());
        }
        assert_eq!(disk.crash_states(model, 50, 7), disk.crash_states(model, 50, 7));
    }
    assert!("posix:only".parse::<CrashChoice>().is_err());
}

/// A run that is stopped at an operation leaves the disk that a recording has for the moment before
/// it.
#[test]
fn a_moment_of_a_recording_is_the_disk_that_a_stop_there_leaves() {
    let work = |disk: &SimDisk| -> kv_vfs::Result<()> {
        let file = disk.vfs().create("a.tmp")?;
        file.write_all_at(b"hello", 0)?;
        file.sync_data()?;
        disk.vfs().rename("a.tmp", "a")?;
        disk.vfs().sync_directory()
    };
    let disk = SimDisk::new(1);
    disk.record();
    work(&disk).unwrap();
    let moments = disk.take_recording();
    assert_eq!(moments.len(), 6);
    for moment in moments {
        let stopped = SimDisk::new(1);
        stopped.stop_at(moment.operation);
        assert_eq!(work(&stopped).is_ok(), moment.next.is_empty());
        for model in CrashModel::ALL {
            let states = moment.disk.crash_states(model, 1000, 0);
            assert_eq!(stopped.crash_states(model, 1000, 0), states);
            for choice in states {
                assert_eq!(stopped.crash(&choice).files(), moment.disk.crash(&choice).files());
            }
        }
    }
}

/// What is acknowledged after a sync is in every state, unless the disk lies; then a test detects
/// it.
#[test]
fn an_exploration_notices_a_lying_disk() {
    let acknowledged_is_lost = |lies: bool| {
        let disk = with_old();
        if lies {
            disk.lie();
        }
        disk.record();
        let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        let acknowledged_at = disk.operations();
        let lost = AtomicU32::new(0);
        let moments = disk.take_recording();
        let count = Exploration::from_env(1000).run("lying disk", &moments, &POWER_CUTS, &|moment, _, left| {
            let is_there = content(left, "f").unwrap() == b"new";
            lost.fetch_add(u32::from(moment.operation >= acknowledged_at && !is_there), Ordering::Relaxed);
        });
        assert!(count.states >= 4, "{count}");
        lost.into_inner()
    };
    assert_eq!(acknowledged_is_lost(false), 0);
    assert!(acknowledged_is_lost(true) > 0);
}

/// The mistake that the guide describes, and its message.
#[test]
fn a_file_that_is_renamed_before_it_is_synced_is_found_out() {
    let save = |vfs: &dyn Vfs, number: u64| -> kv_vfs::Result<()> {
        vfs.create("number.tmp")?.write_all_at(&number.to_le_bytes(), 0)?;
        vfs.rename("number.tmp", "number")?;
        vfs.sync_directory()
    };
    let disk = SimDisk::new(1);
    disk.record();
    save(&*disk.vfs(), 1).unwrap();
    save(&*disk.vfs(), 2).unwrap();
    let acknowledged_at = disk.operations();
    let check = |left: &SimDisk| {
        let bytes = content(left, "number").unwrap_or_default();
        assert_eq!(bytes, [2, 0, 0, 0, 0, 0, 0, 0], "2 was saved");
    };
    let run = || {
        Exploration::new(1000, 0).run("number", &disk.take_recording(), &POWER_CUTS, &|moment, _, left| {
            if moment.operation >= acknowledged_at {
                check(left);
            }
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    let said = panic.downcast_ref::<String>().unwrap();
    let (_, state) = said.split_once("in the state ").unwrap();
    let expected = "KV_CRASH_SEED=0 KV_CRASH_REPLAY='number@8:ext4:except:0'\n\
        (at the end; lost: sector 0 of number; found as ext4:numbered:0)";
    assert_eq!(state, expected, "{said}");
}
