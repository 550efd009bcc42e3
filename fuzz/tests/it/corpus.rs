use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
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

/// Feeds an input to the target. If the target panics, keeps the input and says where.
fn survive(target: &Target, input: &[u8], what: &str) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| target.run(input))).map_err(|_| {
        let kept = std::env::temp_dir().join(format!("kv-fuzz-{}", target.name));
        fs::write(&kept, input).unwrap();
        format!("{}: {what}, which is in {}", target.name, kept.display())
    })
}

#[test]
fn every_target_survives_its_corpus() {
    let mut failures = Vec::new();
    for target in TARGETS {
        for (path, input) in corpus(target) {
            failures.extend(survive(target, &input, &path.display().to_string()).err());
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_target_survives_mutations_of_its_corpus() {
    for target in TARGETS {
        let inputs = corpus(target);
        let mut rng = Rng::with_seed(7);
        for n in 0..MUTATIONS {
            let (one, other) = (rng.usize(..inputs.len()), rng.usize(..inputs.len()));
            let input = mutated(&inputs[one].1, &inputs[other].1, &mut rng);
            survive(target, &input, &format!("mutation {n}")).unwrap();
        }
    }
}

/// Each target has a binary for libFuzzer, and there are no others.
#[test]
fn every_target_has_a_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    files.sort_unstable();
    names.sort_unstable();
    assert_eq!(files, names);
}

/// The corpus holds all seeds. It also holds inputs that were found later.
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
