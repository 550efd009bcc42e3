//! Tests of the campaign itself: it does everything that it should, and it finds faults.

use std::collections::BTreeSet;

use kv_store::{Durability, Lsn};
use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};

use crate::{
    coverage::{Coverage, FaultKind, State, Verb},
    damage::Damages,
    driver::Driver,
    faults, marks,
    oracle::Oracle,
    plan::RunPart,
    situation::Situation,
    space,
    workload::{Step, reference},
};

#[test]
fn the_reference_workload_has_everything_in_it() {
    let disk = SimDisk::new(0);
    let Ok(oracle) = Driver::oracle_after(&disk, Oracle::nothing(), &reference(0)) else {
        panic!("the workload fails")
    };
    let trace = disk.take_trace();
    let lines =
        |begin: &str, end: &str| trace.lines().filter(|line| line.starts_with(begin) && line.ends_with(end)).count();
    assert!(oracle.last() >= Lsn(200), "{} writes", oracle.last());
    let (written, durable) = oracle.acknowledgements();
    assert!(durable >= 50 && written - durable >= 50, "{written} acknowledgements, {durable} of them for the disk");
    assert!(lines("rename log/segment.tmp", ".wal") >= 5, "segments that were begun");
    let to_measure = |line: &&str| line.starts_with("write log/segment.tmp 4096+") && !line.ends_with("+12288");
    assert!(trace.lines().filter(to_measure).count() >= 1, "segments that were made to measure");
    assert!(lines("remove log/", ".wal") >= 2, "segments that were trimmed");
    assert!(lines("rename checkpoints/", ".manifest") >= 2, "checkpoints");
    assert!(lines("remove checkpoints/", ".manifest") >= 1, "checkpoints that were removed");
    let has_b = |lsn| oracle.state_at(Lsn(lsn)).is_some_and(|state| state.collections().contains_key("b"));
    let dropped = (1..oracle.last().0).find(|lsn| has_b(lsn - 1) && !has_b(*lsn));
    assert!(
        dropped.is_some_and(|dropped| (dropped..oracle.last().0).any(has_b)),
        "a collection, dropped and created again"
    );
}

/// On a disk whose syncs do nothing, acknowledged data is lost, and that is detected.
#[test]
fn a_disk_that_lies_is_found_out() {
    let disk = SimDisk::new(1);
    let mut driver = Driver::new(&disk, Oracle::nothing());
    assert!(matches!(driver.open(), Ok(Ok(()))));
    disk.lie();
    assert!(matches!(driver.step(Step::Put(1, Durability::Disk)), Ok(Ok(()))));
    let left = disk.crash(&CrashChoice { model: CrashModel::Ext4, survivors: Survivors::Nothing });
    assert!(driver.oracle.check(disk.operations(), CrashModel::Ext4, &left).is_err());
}

#[test]
fn replay_lines_parse_as_they_are_printed() {
    let Ok(faults) = faults::cases(0) else { panic!("the workload fails") };
    let names: BTreeSet<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), faults.len());
    let Ok(sizes) = space::cases(0) else { panic!("the workload fails") };
    for case in sizes.iter().step_by(101) {
        assert_eq!(case.to_string().parse::<space::SpaceCase>().map(|case| case.to_string()), Ok(case.to_string()));
    }
}

/// Every verb is used in every state, on a disk that works.
#[test]
fn every_verb_is_used_in_every_state() {
    let coverage = Coverage::default();
    for situation in Situation::all() {
        let (mut driver, steps) = situation.prepare(0).unwrap_or_else(|violation| panic!("{situation}: {violation:?}"));
        driver.run_steps(&steps).unwrap_or_else(|violation| panic!("{situation}: {violation:?}"));
        coverage.performed_all(&driver.timeline.unwrap_or_default());
        assert_eq!(situation.to_string().parse(), Ok(situation));
    }
    let gaps: Vec<_> = coverage.wrong().into_iter().filter(|gap| gap.starts_with("never reached")).collect();
    let of_verbs = State::ALL
        .iter()
        .flat_map(|state| Verb::ALL.iter().map(move |verb| format!("{verb} in the state \"{state}\"")));
    let missing: Vec<_> = of_verbs.filter(|pair| gaps.contains(&format!("never reached: {pair}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A part has no earlier version, and the copy of a part is one file more.
#[test]
fn each_kind_of_damage_to_a_part_is_met_by_both_readers() {
    use FaultKind::{Copied, Older, Stale};
    let Ok(damages) = Damages::new(0) else { panic!("the stores cannot be made") };
    let kinds = FaultKind::ALL.iter().filter(|kind| kind.is_damage() && !matches!(kind, Copied | Older | Stale));
    let both = kinds.flat_map(|kind| [(*kind, false), (*kind, true)]);
    assert_eq!(damages.readers(), both.collect());
}

#[test]
fn coverage_names_unreached_combinations_and_reached_exceptions() {
    let coverage = Coverage::default();
    let gap = "never reached: EIO at put".to_owned();
    assert!(coverage.wrong().contains(&gap));
    coverage.met_by(Verb::Put, FaultKind::Eio);
    assert!(!coverage.wrong().contains(&gap));
    assert!(coverage.wrong().iter().all(|wrong| wrong.starts_with("never reached")));
    coverage.met_by(Verb::Read, FaultKind::Eio);
    assert!(
        coverage.wrong().iter().any(|wrong| wrong.starts_with("reached, though") && wrong.ends_with("EIO at read"))
    );
}

#[test]
fn parts_are_disjoint_and_complete() {
    let all: Vec<_> = (0..100_u64).collect();
    let parts = (1..=3).map(|number| RunPart { number, of: 3 }.of(all.clone()));
    let mut together: Vec<_> = parts.flatten().collect();
    together.sort_unstable();
    assert_eq!(together, all);
    assert_eq!("2/3".parse(), Ok(RunPart { number: 2, of: 3 }));
    assert!(["0/3", "4/3", "3", "1/0", "x/3"].iter().all(|text| text.parse::<RunPart>().is_err()));
}

/// The marks that are combined with damage are those that a power cut may leave: the one at the
/// last sync of the file, and those written since. The campaign knows what each of them proves.
#[test]
fn a_mark_proves_what_was_durable_when_it_was_written() {
    let Ok(cuts) = marks::cuts_of("first", 0) else { panic!("the scenario fails") };
    let Some(last) = cuts.iter().rfind(|cut| cut.name.ends_with(":all")) else { panic!("there is no cut") };
    let durable = last.oracle.promised(u64::MAX, CrashModel::Posix);
    assert_eq!(last.marks.proves(&last.marks.exact()), durable);
    let proven: BTreeSet<_> = last.marks.choices().iter().map(|choice| last.marks.proves(choice)).collect();
    assert!(proven.len() > 4 && proven.first() == Some(&Lsn::START), "{proven:?}");
    assert!(last.oracle.all_but_the_last_group(u64::MAX) < durable);
}
