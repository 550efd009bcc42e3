//! Power that fails under a real file system: the image of an ext4, copied while the writer is stopped, holds what the disk would hold. The
//! kernel then recovers the copy's journal, and the engine its log.

use std::{fs, thread, time::Duration};

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
const BYTES: u64 = 48 << 20;

#[test]
fn what_was_acknowledged_survives_a_power_cut_on_ext4() {
    if !mounts::work("a power cut under a real file system") {
        return;
    }
    let mut rng = Rng::with_seed(tools::seed());
    let home = tools::memory_dir();
    let mut ext4 = Ext4::new(home.path(), BYTES).unwrap();
    let mut ledger = Ledger::default();
    let cuts = (CUTS / tools::every()).max(5);
    for cut in 0..cuts {
        let first = cut * STEPS;
        let job = Job { threads: 1 + rng.u32(0..4), lives: std::iter::once(first..first + STEPS).collect() };
        let mut writer = Running::start(&job, &ext4.path().join("store"));
        thread::sleep(Duration::from_millis(rng.u64(20..250)));
        assert!(writer.runs(), "the writer ended by itself: {}", writer.killed());
        writer.stop();
        let copy = home.path().join(format!("after-{cut}.image"));
        fs::copy(&ext4.image, &copy).unwrap();
        ledger.note(&job, &writer.killed());
        ledger.power_lost();

        let old = ext4.image.clone();
        drop(ext4);
        fs::remove_file(old).unwrap();
        ext4 = Ext4::of(copy, home.path().join("ext4")).unwrap();
        ledger.prove(&ext4.path().join("store"), &(cut, tools::seed(), &job));
    }
    tools::say(&format!("power cuts on ext4: {cuts}, {} writes acknowledged, all recovered", ledger.acknowledged));
}
