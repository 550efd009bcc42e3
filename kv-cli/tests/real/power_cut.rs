//! Power cuts under a real file system. The image of the file system, copied while the writer is
//! stopped, holds what the disk would hold. The kernel then recovers the journal of the copy, and
//! the engine its log.

use std::{ops::Range, thread, time::Duration};

use fastrand::Rng;

use crate::{
    ledger::Ledger,
    mounts::{self, Image, Kind},
    process::Running,
    tools,
    writer::Job,
};

/// How often power fails under each kind of file system, at most.
const CUTS: u64 = 70;
/// More steps than a writer has time for.
const STEPS: u64 = 1_000_000;
/// Enough for all writers of a store on a fast machine: a synced record takes 4 KiB of the log.
const BYTES: u64 = 300 << 20;

/// How often it fails under one store.
const CUTS_OF_ONE: u64 = 10;

mounts::on_each!(what_was_acknowledged_survives_a_power_cut, "a power cut under a real file system", cut_on);

fn cut_on(kind: Kind) {
    let mut rng = Rng::with_seed(tools::seed());
    let cuts = (CUTS / tools::every()).max(CUTS_OF_ONE);
    let mut acknowledged = 0;
    for first in (0..cuts).step_by(CUTS_OF_ONE as usize) {
        acknowledged += cut_again_and_again(kind, &mut rng, first..cuts.min(first + CUTS_OF_ONE));
    }
    let name = kind.name();
    tools::say(&format!("power cuts on {name}: {cuts}, {acknowledged} writes acknowledged, all recovered"));
}

/// Cuts the power of one store again and again. Returns how many writes were acknowledged.
fn cut_again_and_again(kind: Kind, rng: &mut Rng, cuts: Range<u64>) -> usize {
    let home = tools::memory_dir();
    let mut disk = Image::new(kind, home.path(), BYTES).unwrap();
    let mut ledger = Ledger::default();
    for cut in cuts {
        let first = cut * STEPS;
        let job = Job { threads: 1 + rng.u32(0..4), incarnations: std::iter::once(first..first + STEPS).collect() };
        ledger.note(&job, &cut_off(&job, &mut disk, rng.u64(1..200)));
        ledger.power_lost();
        ledger.prove(&disk.path().join("store"), &(kind, cut, tools::seed(), &job));
    }
    ledger.acknowledged
}

/// Cuts the power `after_ms` after the writer's first acknowledgement, and returns what the writer
/// had printed by then.
fn cut_off(job: &Job, disk: &mut Image, after_ms: u64) -> String {
    let mut writer = Running::start(job, &disk.path().join("store"));
    writer.acknowledges();
    thread::sleep(Duration::from_millis(after_ms));
    assert!(writer.runs(), "the writer ended by itself: {}", writer.killed());
    writer.stop();
    let copy = disk.copy("after.image");
    let said = writer.killed();
    disk.replace(copy);
    said
}
