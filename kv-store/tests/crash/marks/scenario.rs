//! The workloads that prepare the disks to be damaged. Each gives the log another shape.

use kv_store::Durability::{Disk, Process};

use crate::{
    coverage::Verb,
    workload::{LARGE, Step, small},
};

/// A workload. The power is cut after each of its last `cuts` steps.
pub struct Scenario {
    pub name: String,
    pub steps: Vec<Step>,
    pub cuts: usize,
}

impl Scenario {
    fn new(name: impl Into<String>, steps: Vec<Step>, cuts: usize) -> Self {
        Self { name: name.into(), steps, cuts }
    }

    pub fn all() -> Vec<Self> {
        let mut scenarios = vec![
            Self::new("first", [vec![Step::Sizes(16, 16)], puts("DDPDPPDD")].concat(), 8),
            Self::new("killed", rounds(4, &["DDP", "DPD", "DDDPP"], KILL), 6),
            Self::new("opened-often", rounds(16, &["DD", "D", "PD", "D"], Step::Reopen), 6),
            Self::new("torn", [vec![Step::Sizes(8, 8)], puts("DLPPP"), vec![Step::Tear], puts("DPD")].concat(), 4),
            Self::new("grown", [vec![Step::Sizes(4, 16)], puts("DDDDDDLDDD"), vec![Step::Close]].concat(), 5),
            Self::new("checkpoints", small(false), 5),
            Self::new("closed", small(true), 1),
            Self::new("frozen", [puts("DPD"), vec![Step::CheckpointBeside(Some(Verb::Put), 0)], puts("D")].concat(), 2),
            Self::new("failed", [puts("DPD"), vec![Step::FailedCheckpoint], puts("DP")].concat(), 3),
        ];
        // A seal at every place of a small segment, and in the middle of larger ones, where a
        // binary search looks first.
        scenarios.extend((2..=6).map(|seal| sealed(8, seal, "DDPD", 5)));
        scenarios.push(sealed(64, 31, "DDPD", 2));
        scenarios.push(sealed(256, 127, "DDD", 1));
        scenarios
    }
}

const KILL: Step = Step::Crash(kv_testkit::sim::CrashModel::Killed, 0);

/// A log that was closed with its seal in this block, and opened again to write a little.
fn sealed(blocks: u64, seal: usize, then: &str, cuts: usize) -> Scenario {
    let before = (1..seal).map(|block| Step::Put(block as u8 % 50, Disk));
    let steps = [Step::Sizes(blocks, blocks)].into_iter().chain(before).chain([Step::Reopen]).chain(puts(then));
    Scenario::new(format!("seal-{seal}-of-{blocks}"), steps.collect(), cuts)
}

/// Several rounds of writes, with a step between them.
fn rounds(blocks: u64, writes: &[&str], between: Step) -> Vec<Step> {
    let rounds: Vec<_> = writes.iter().map(|writes| puts(writes)).collect();
    [vec![Step::Sizes(blocks, blocks)], rounds.join(&between)].concat()
}

/// Writes for the disk (`D`), for the kernel (`P`), and large ones (`L`).
fn puts(writes: &str) -> Vec<Step> {
    let put = |(key, write)| match write {
        'D' => Step::Put(key, Disk),
        'L' => Step::Put(LARGE, Process),
        _ => Step::Put(key, Process),
    };
    (50..).zip(writes.chars()).map(put).collect()
}
