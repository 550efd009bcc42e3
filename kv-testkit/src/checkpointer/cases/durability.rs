use fastrand::Rng;

use crate::checkpointer::{
    CheckpointerHarness, CheckpointerPowerCut,
    support::{assert_opens_as, changed, list, open, sample, write},
};

/// A checkpoint that `write` returned is listed and opens unchanged, after a kill and after
/// reopening.
pub fn c1_written_survives_kill(harness: &mut dyn CheckpointerHarness) {
    written_survives(harness, |harness, round| {
        if round % 2 == 0 {
            harness.kill();
        }
    });
}

/// A checkpoint that `write` returned is listed and opens unchanged after a power cut.
pub fn c1_written_survives_power_cut(harness: &mut dyn CheckpointerPowerCut) {
    written_survives(harness, |harness, _| harness.cut_power());
}

fn written_survives<H: CheckpointerHarness + ?Sized>(harness: &mut H, crash: impl Fn(&mut H, u64)) {
    let mut rng = Rng::with_seed(1);
    let mut written = Vec::new();
    let mut image = sample(1, 10, 100);
    for round in 0..6 {
        let checkpointer = open(harness);
        assert_eq!(list(&*checkpointer).len(), written.len(), "C1: the list changed without a write");
        for (id, image) in &written {
            assert_opens_as(&*checkpointer, *id, image);
        }
        let previous = written.last().map(|(id, _)| *id);
        let id = write(&*checkpointer, previous, &image).id();
        crash(harness, round);
        written.push((id, image.clone()));
        image = changed(&image, &mut rng);
        image.epoch.0 += 1;
    }
    let checkpointer = open(harness);
    let expected: Vec<_> = written.iter().rev().map(|(id, _)| *id).collect();
    assert_eq!(list(&*checkpointer), expected, "C1: checkpoints are missing after a crash");
    for (id, image) in &written {
        assert_opens_as(&*checkpointer, *id, image);
    }
}
