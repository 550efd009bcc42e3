//! The campaign is tested too: it has in it what it should, and finds what it should.

use kv_store::{Durability, Lsn};
use kv_testkit::sim::{CrashChoice, CrashModel, Pick, SimDisk};

use crate::{
    faults,
    known::Known,
    space,
    workload::{Life, Step, reference},
};

#[test]
fn the_reference_workload_has_everything_in_it() {
    let disk = SimDisk::new(0);
    let Ok(known) = Life::lead(&disk, Known::nothing(), &reference(0)) else { panic!("the workload fails") };
    let trace = disk.take_trace();
    let lines =
        |begin: &str, end: &str| trace.lines().filter(|line| line.starts_with(begin) && line.ends_with(end)).count();
    assert!(known.last() >= Lsn(200), "{} writes", known.last());
    let (written, durable) = known.acknowledgements();
    assert!(durable >= 50 && written - durable >= 50, "{written} acknowledgements, {durable} of them for the disk");
    assert!(lines("rename log/segment.tmp", ".wal") >= 5, "segments that were begun");
    let to_measure = |line: &&str| line.starts_with("write log/segment.tmp 4096+") && !line.ends_with("+12288");
    assert!(trace.lines().filter(to_measure).count() >= 2, "segments that were made to measure");
    assert!(lines("remove log/", ".wal") >= 2, "segments that were trimmed");
    assert!(lines("rename checkpoints/", ".manifest") >= 2, "checkpoints");
    assert!(lines("remove checkpoints/", ".manifest") >= 1, "checkpoints that were removed");
    let has_b = |lsn| known.state_at(Lsn(lsn)).is_some_and(|state| state.collections().contains_key("b"));
    let dropped = (1..known.last().0).find(|lsn| has_b(lsn - 1) && !has_b(*lsn));
    assert!(
        dropped.is_some_and(|dropped| (dropped..known.last().0).any(has_b)),
        "a collection, dropped and made again"
    );
}

/// On a disk whose syncs do nothing, what is acknowledged is lost, and that is noticed.
#[test]
fn a_disk_that_lies_is_found_out() {
    let disk = SimDisk::new(1);
    let mut life = Life::new(&disk, Known::nothing());
    assert!(matches!(life.open(), Ok(Ok(()))));
    disk.lie();
    assert!(matches!(life.step(Step::Put(1, Durability::Disk)), Ok(Ok(()))));
    let left = disk.crash(&CrashChoice { model: CrashModel::Ext4, pick: Pick::Nothing });
    assert!(life.known.check(disk.operations(), CrashModel::Ext4, &left).is_err());
}

#[test]
fn lines_to_replay_are_understood_as_they_are_printed() {
    let Ok(faults) = faults::cases(0) else { panic!("the workload fails") };
    for case in faults.iter().step_by(101) {
        assert_eq!(case.to_string().parse::<faults::Case>().map(|case| case.to_string()), Ok(case.to_string()));
    }
    let Ok(sizes) = space::cases(0) else { panic!("the workload fails") };
    for case in sizes.iter().step_by(101) {
        assert_eq!(case.to_string().parse::<space::Case>().map(|case| case.to_string()), Ok(case.to_string()));
    }
    assert!("fault@1:eio:twice:empty".parse::<faults::Case>().is_err());
}
