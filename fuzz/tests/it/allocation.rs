//! Checks that no input of the corpus, no mutation and no heavy input makes a decoder allocate more
//! than four times its length plus a mebibyte.

use fastrand::Rng;
use kv_fuzz::{TARGETS, Target, mutation::mutated};

use crate::corpus::corpus;

const FACTOR: u64 = 4;
const CONSTANT_BYTES: u64 = 1 << 20;
const MUTATIONS: u32 = 200;

/// Checks the peak of what `decode` allocates for an input of `bytes` bytes. It must not use other
/// threads.
#[track_caller]
fn check(target: &Target, bytes: usize, what: &str, decode: impl FnOnce()) {
    let taken = allocation_counter::measure(decode).bytes_max;
    let allowed = FACTOR * bytes as u64 + CONSTANT_BYTES;
    assert!(taken <= allowed, "{}: {bytes} bytes ({what}) took {taken}, but {allowed} are allowed", target.name);
}

/// Measures the whole target, including what it allocates for its comparisons.
#[track_caller]
fn check_all_of(target: &Target, input: &[u8], what: &str) {
    check(target, input.len(), what, || target.run(input));
}

#[test]
fn no_input_takes_more_memory_than_its_length_allows() {
    for target in TARGETS {
        let inputs = corpus(target);
        target.run(&inputs[0].1); // creates what is created only once
        for (path, input) in &inputs {
            check_all_of(target, input, &path.display().to_string());
        }
        let mut rng = Rng::with_seed(11);
        for n in 0..MUTATIONS {
            let (one, other) = (rng.usize(..inputs.len()), rng.usize(..inputs.len()));
            check_all_of(target, &mutated(&inputs[one].1, &inputs[other].1, &mut rng), &format!("mutation {n}"));
        }
    }
}

#[test]
fn no_input_of_several_mebibytes_does_either() {
    for target in TARGETS {
        for heavy in target.heavy() {
            check(target, heavy.bytes, heavy.what, heavy.decode);
        }
    }
}
