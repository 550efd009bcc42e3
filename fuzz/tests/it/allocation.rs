//! No input makes a decoder take more than four times its length and a mebibyte.

use fastrand::Rng;
use kv_fuzz::{TARGETS, Target, mutation::mutated};

use crate::corpus::corpus;

const FACTOR: u64 = 4;
const CONSTANT_BYTES: u64 = 1 << 20;
const MUTATIONS: u32 = 200;

/// What a target takes at a time, at most: all that it allocates counts, what it compares with too. Nothing runs in another thread.
#[track_caller]
fn check(target: &Target, input: &[u8], what: &str) {
    let taken = allocation_counter::measure(|| target.run(input)).bytes_max;
    let allowed = FACTOR * input.len() as u64 + CONSTANT_BYTES;
    assert!(taken <= allowed, "{}: {} bytes ({what}) took {taken}, and {allowed} are allowed", target.name, input.len());
}

#[test]
fn no_input_takes_more_memory_than_its_length_allows() {
    for target in TARGETS {
        let inputs = corpus(target);
        target.run(&inputs[0].1); // what is made once
        for (path, input) in &inputs {
            check(target, input, &path.display().to_string());
        }
        let mut rng = Rng::with_seed(11);
        for n in 0..MUTATIONS {
            let (one, other) = (rng.usize(..inputs.len()), rng.usize(..inputs.len()));
            check(target, &mutated(&inputs[one].1, &inputs[other].1, &mut rng), &format!("mutation {n}"));
        }
    }
}
