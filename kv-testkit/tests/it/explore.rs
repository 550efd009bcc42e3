//! Which states an exploration checks, and how it reports a failing one.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use kv_testkit::sim::{Count, CrashChoice, CrashModel, Exploration, LostUnit, Moment, SimDisk, Survivors};

const SECTOR_BYTES: u64 = 512;

/// A recording that writes the sectors of a durable file one after the other, and syncs them.
fn recording(sectors: u8) -> Vec<Moment> {
    let disk = SimDisk::new(1);
    let file = disk.vfs().create("f").unwrap();
    file.write_zeroes(0, u64::from(sectors) * SECTOR_BYTES).unwrap();
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    disk.record();
    for sector in 0..sectors {
        file.write_all_at(&[sector + 1; SECTOR_BYTES as usize], u64::from(sector) * SECTOR_BYTES).unwrap();
    }
    file.sync_data().unwrap();
    disk.take_recording()
}

fn content(disk: &SimDisk) -> Vec<u8> {
    disk.files().remove("f").unwrap()
}

/// The states that were checked: the moment, the choice, and the content of the disk.
type Looked = BTreeSet<(u64, String, Vec<u8>)>;

fn explore(exploration: &Exploration, moments: &[Moment], models: &[CrashModel]) -> (Count, Looked) {
    let looked = Mutex::new(Looked::new());
    let count = exploration.run("sectors", moments, models, &|moment, choice, left| {
        let is_new = looked.lock().unwrap().insert((moment.operation, choice.to_string(), content(left)));
        assert!(is_new);
    });
    (count, looked.into_inner().unwrap())
}

#[test]
fn all_states_are_checked_once_where_they_can_be_counted() {
    let (count, looked) = explore(&Exploration::new(1_000_000, 0), &recording(7), &[CrashModel::Posix]);
    // 3^n states after n sectors. Nothing is left to lose after the sync.
    let expected = (0..=7).map(|sectors| 3_u64.pow(sectors)).sum::<u64>() + 1;
    assert_eq!((count.states, count.exhausted, count.sampled, count.moments), (expected, 9, 0, 9));
    let disks: BTreeSet<_> = looked.iter().map(|(moment, _, bytes)| (moment, bytes)).collect();
    assert_eq!(disks.len() as u64, expected);
}

#[test]
fn a_disk_that_several_power_cuts_leave_is_checked_once() {
    let moments = recording(5);
    let (posix, _) = explore(&Exploration::new(10_000, 0), &moments, &[CrashModel::Posix]);
    let (all, looked) = explore(&Exploration::new(10_000, 0), &moments, &CrashModel::ALL);
    // Whatever ext4 and XFS may leave of this file, POSIX may leave too. A killed process is
    // counted apart, since it was promised more.
    assert_eq!((all.states, all.exhausted), (posix.states + 7, 4 * 7));
    assert!(!looked.iter().any(|(_, choice, _)| choice.starts_with("xfs")));
}

#[test]
fn otherwise_the_corner_cases_and_a_thousand_samples_are_checked() {
    let moments = &recording(13)[13..14];
    let corner_cases = 2 + 12 + 13 + 13;
    let (count, looked) = explore(&Exploration::new(corner_cases + 1000, 0), moments, &[CrashModel::Ext4]);
    assert_eq!((count.states, count.exhausted, count.sampled), (corner_cases + 1000, 0, 1));
    let disks: BTreeSet<_> = looked.iter().map(|(_, _, bytes)| bytes.as_slice()).collect();
    let all = content(&moments[0].disk);
    let with = |keeps: &dyn Fn(usize) -> bool| {
        let byte = |at: usize| if keeps(at / SECTOR_BYTES as usize) { all[at] } else { 0 };
        (0..all.len()).map(byte).collect::<Vec<_>>()
    };
    for sector in 0..13 {
        assert!(disks.contains(&*with(&|at| at < sector)), "prefix");
        assert!(disks.contains(&*with(&|at| at != sector)), "one lost");
        assert!(disks.contains(&*with(&|at| at == sector)), "one kept");
    }
    assert!(disks.contains(&*all));
    // Where the bound has room for all of them, all are checked.
    let (count, _) = explore(&Exploration::new(10_000, 0), moments, &[CrashModel::Ext4]);
    assert_eq!((count.states, count.exhausted, count.sampled), (1 << 13, 1, 0));
}

#[test]
fn the_total_is_bounded_and_used_up() {
    let moments = recording(16);
    for states_max in [1, 10, 60, 1000, 15_000] {
        let (count, _) = explore(&Exploration::new(states_max, 0), &moments, &CrashModel::ALL);
        assert!(count.states <= states_max && count.states >= states_max * 9 / 10, "{states_max}: {count}");
    }
}

#[test]
fn the_checked_states_follow_from_the_seed_and_not_from_the_threads() {
    let moments = recording(12);
    let looked =
        |seed, threads| explore(&Exploration::new(9000, seed).with_threads(threads), &moments, &CrashModel::ALL);
    let (count, one) = looked(3, 1);
    let (same_count, four) = looked(3, 4);
    assert!(count == same_count && one == four);
    assert!(looked(4, 2).1 != one);
}

#[test]
fn moments_between_which_nothing_changes_are_one() {
    let disk = SimDisk::new(1);
    disk.record();
    let file = disk.vfs().create("f").unwrap();
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    for _ in 0..3 {
        file.sync_data().unwrap();
        disk.vfs().sync_directory().unwrap();
    }
    let (count, looked) = {
        let moments = disk.take_recording();
        let operations = Mutex::new(BTreeSet::new());
        let count = Exploration::new(1000, 0).run("f", &moments, &[CrashModel::Killed], &|moment, _, _| {
            operations.lock().unwrap().insert(moment.operation);
        });
        (count, operations.into_inner().unwrap())
    };
    // Before the file, with it, with its name, and at the end, which has the most promises.
    assert_eq!((count.moments, count.states), (4, 4));
    assert_eq!(looked.last(), Some(&disk.operations()));
}

/// The message of an exploration whose check fails where `is_bad` holds.
fn said(exploration: &Exploration, moments: &[Moment], is_bad: &(dyn Fn(&[u8]) -> bool + Sync)) -> String {
    let run = || {
        exploration.run("sectors", moments, &[CrashModel::Posix], &|_, _, left| {
            assert!(!is_bad(&content(left)), "it is bad");
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

fn replayed(said: &str) -> CrashChoice {
    let (_, replay) = said.split_once("KV_CRASH_REPLAY='sectors@").unwrap();
    let (_, choice) = replay.split_once('\'').unwrap().0.split_once(':').unwrap();
    choice.parse().unwrap()
}

#[test]
fn a_failure_is_shrunk_to_what_has_to_be_lost() {
    let moments = &recording(13)[13..14];
    let lost =
        |bytes: &[u8], sector: usize| bytes[sector * SECTOR_BYTES as usize..][..SECTOR_BYTES as usize] == [0; 512];
    // Nothing survives, and two of the lost sectors matter.
    let said_of = said(&Exploration::new(100, 0), moments, &|bytes| lost(bytes, 3) && lost(bytes, 9));
    assert!(
        said_of.contains("it is bad\nat ")
            && said_of.ends_with("lost: sector 3 of f, sector 9 of f; found as posix:nothing)"),
        "{said_of}"
    );
    let lost_whole = |unit| LostUnit { unit, kept_bytes: 0 };
    assert_eq!(replayed(&said_of).survivors, Survivors::Except(vec![lost_whole(3), lost_whole(9)]));
    // A torn sector, which no lost sector can replace.
    let is_torn = |bytes: &[u8]| bytes[5 * 512] != 0 && bytes[6 * 512 - 1] == 0;
    let said_of = said(&Exploration::new(2000, 0), moments, &is_torn);
    let Survivors::Except(losses) = replayed(&said_of).survivors else { panic!("{said_of}") };
    assert!(matches!(losses[..], [LostUnit { unit: 5, kept_bytes: 1..512 }]), "{said_of}");
    // The replayed choice gives the same state again.
    let choice = replayed(&said_of);
    assert!(is_torn(&content(&moments[0].disk.crash(&choice))));
    // Fails whatever is lost.
    let said_of = said(&Exploration::new(100, 0), moments, &|_| true);
    assert_eq!(replayed(&said_of).survivors, Survivors::Everything);
}

#[test]
fn the_first_failing_state_is_reported_whatever_the_threads() {
    let moments = recording(12);
    let is_bad = |bytes: &[u8]| bytes.iter().filter(|byte| **byte != 0).count() > 1500;
    let said_with = |threads| said(&Exploration::new(5000, 0).with_threads(threads), &moments, &is_bad);
    assert_eq!(said_with(1), said_with(4));
}

#[test]
fn a_crash_after_a_crash_reports_both() {
    let moments = recording(3);
    let exploration = Exploration::new(1000, 5);
    let run = || {
        exploration.run("first", &moments, &[CrashModel::Posix], &|moment, choice, left| {
            let Some(again) = exploration.again(moment, choice, 2, 100) else { return };
            left.record();
            left.vfs().create("g").unwrap();
            again.run("second", &left.take_recording(), &[CrashModel::Posix], &|_, _, left| {
                assert!(!left.files().contains_key("g"), "there is a g");
            });
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("there is a g\nat "), "{said}");
    assert!(said.contains("KV_CRASH_SEED=5 KV_CRASH_REPLAY='first@") && said.contains(",second@"), "{said}");
}

/// A split exploration checks no state twice, and covers every moment.
#[test]
fn parts_have_no_state_in_common_and_together_have_all() {
    let moments = recording(6);
    let split = |states_max: u64| {
        let parts = (1..=3).map(|part| {
            let exploration = Exploration::new(states_max, 3).with_part(part, 3);
            explore(&exploration, &moments, &CrashModel::ALL)
        });
        let (mut sum, mut all) = (Count::default(), Looked::new());
        for (count, looked) in parts {
            assert!(count.states > 0 && count.states == looked.len() as u64);
            sum.add(&count);
            all.extend(looked);
        }
        assert_eq!(all.len() as u64, sum.states, "a state was checked in two parts");
        (sum, all)
    };
    let (whole, looked) = explore(&Exploration::new(10_000, 3), &moments, &CrashModel::ALL);
    assert_eq!(split(10_000), (whole.clone(), looked));
    let (sum, all) = split(60);
    assert_eq!(sum.moments, whole.moments);
    assert_eq!(all.iter().map(|(moment, ..)| moment).collect::<BTreeSet<_>>().len() as u64, whole.moments);
    assert!((40..=60).contains(&sum.states), "{sum}");
}
