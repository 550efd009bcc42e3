use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};

use fastrand::Rng;
use kv_fuzz::{TARGETS, Target, mutation::mutated};

/// How many mutated inputs each target takes.
const MUTATIONS: u32 = 1_000;

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The files of the target's corpus, in order of their names.
pub fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn run(target: &Target, input: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target.run(input))) {
        let kept = std::env::temp_dir().join(format!("kv-fuzz-{}", target.name));
        fs::write(&kept, input).unwrap();
        eprintln!("target {}, {what}; the input is in {}", target.name, kept.display());
        resume_unwind(panic);
    }
}

#[test]
fn every_target_survives_its_corpus_and_mutations_of_it() {
    for target in TARGETS {
        let inputs = corpus(target);
        for (path, input) in &inputs {
            run(target, input, &path.display().to_string());
        }
        let mut rng = Rng::with_seed(7);
        for n in 0..MUTATIONS {
            let (one, other) = (rng.usize(..inputs.len()), rng.usize(..inputs.len()));
            run(target, &mutated(&inputs[one].1, &inputs[other].1, &mut rng), &format!("mutation {n}"));
        }
        println!("{:10} {:3} inputs, {MUTATIONS} mutations", target.name, inputs.len());
    }
}

/// The corpus begins with the seeds; what was found is beside them.
#[test]
fn the_corpus_holds_the_seeds() {
    for target in TARGETS {
        let inputs = corpus(target);
        for (name, seed) in target.seeds() {
            let path = folder(target).join(&name);
            let kept = inputs.iter().find(|(other, _)| *other == path);
            let is_kept = kept.is_some_and(|(_, input)| *input == seed);
            assert!(is_kept, "{} is not the seed: run the test write_the_seeds", path.display());
        }
    }
}

#[test]
#[ignore = "writes into the sources: cargo test -p kv-fuzz --test it write_the_seeds -- --ignored"]
fn write_the_seeds() {
    for target in TARGETS {
        fs::create_dir_all(folder(target)).unwrap();
        for (name, seed) in target.seeds() {
            fs::write(folder(target).join(name), seed).unwrap();
        }
    }
}
