//! Power that fails under a real file system: the image of an ext4, copied while the writer is stopped, holds what the disk would hold. The
//! kernel then recovers the copy's journal, and the engine its log.

use std::{fs, ops::Range, path::Path, thread, time::Duration};

use fastrand::Rng;

use crate::{
    ledger::Ledger,
    mounts::{self, Ext4},
    process::Running,
    tools,
    writer::Job,
};

/// How often power fails, at most.
const CUTS: u64 = 70;
/// More steps than a life has time for.
const STEPS: u64 = 1_000_000;
/// Enough for all lives of a store on a fast machine: a synced record takes 4 KiB of the log.
const BYTES: u64 = 192 << 20;

/// How often it fails over one store.
const CUTS_OF_ONE: u64 = 10;

#[test]
fn what_was_acknowledged_survives_a_power_cut_on_ext4() {
    if !mounts::work("a power cut under a real file system") {
        return;
    }
    let mut rng = Rng::with_seed(tools::seed());
    let cuts = (CUTS / tools::every()).max(CUTS_OF_ONE);
    let mut acknowledged = 0;
    for first in (0..cuts).step_by(CUTS_OF_ONE as usize) {
        acknowledged += cut_again_and_again(&mut rng, first..cuts.min(first + CUTS_OF_ONE));
    }
    tools::say(&format!("power cuts on ext4: {cuts}, {acknowledged} writes acknowledged, all recovered"));
}

/// One store, under which power fails so often. How many writes were acknowledged.
fn cut_again_and_again(rng: &mut Rng, cuts: Range<u64>) -> usize {
    let home = tools::memory_dir();
    let mut ext4 = Ext4::new(home.path(), BYTES).unwrap();
    let mut ledger = Ledger::default();
    for cut in cuts {
        let first = cut * STEPS;
        let job = Job { threads: 1 + rng.u32(0..4), lives: std::iter::once(first..first + STEPS).collect() };
        let copy = home.path().join(format!("after-{cut}.image"));
        ledger.note(&job, &cut_off(&job, &ext4, rng.u64(1..200), &copy));
        ledger.power_lost();

        let old = ext4.image.clone();
        drop(ext4);
        fs::remove_file(old).unwrap();
        ext4 = Ext4::of(copy, home.path().join("ext4")).unwrap();
        ledger.prove(&ext4.path().join("store"), &(cut, tools::seed(), &job));
    }
    ledger.acknowledged
}

/// What the writer had said when power failed, so many milliseconds after its first acknowledgement, and in `copy` what the disk then held.
fn cut_off(job: &Job, ext4: &Ext4, after_ms: u64, copy: &Path) -> String {
    let mut writer = Running::start(job, &ext4.path().join("store"));
    writer.acknowledges();
    thread::sleep(Duration::from_millis(after_ms));
    assert!(writer.runs(), "the writer ended by itself: {}", writer.killed());
    writer.stop();
    fs::copy(&ext4.image, copy).unwrap();
    writer.killed()
}
