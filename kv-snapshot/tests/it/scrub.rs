//! Reading a checkpoint piece by piece, again and again.

use std::{fs, path::PathBuf};

use kv_core::{Checkpoint, Checkpointer, Error, Result};
use kv_snapshot::MmapCheckpointer;
use kv_vfs::OsVfs;
use tempfile::TempDir;

use crate::support::{State, compare, open};

const BLOCK: u64 = 4096;

/// Two parts, of several blocks each.
struct Scene {
    directory: TempDir,
    checkpointer: MmapCheckpointer,
    state: State,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let checkpointer = open(OsVfs::open(directory.path()).unwrap()).unwrap();
        let mut state = State::default();
        let mut previous = None;
        for round in 0..2_u8 {
            (0..100_u8).for_each(|n| state.put(1, &[round, n], &[n; 100]));
            previous = Some(checkpointer.write(previous, &mut state.take()).unwrap().id());
        }
        Self { directory, checkpointer, state }
    }

    fn part(&self, number: u64) -> PathBuf {
        self.directory.path().join(format!("{number:016x}.part"))
    }

    /// Where a part begins, and its length: the newest is the first.
    fn place(&self, number: u64) -> (u64, u64) {
        let bytes = |number| fs::metadata(self.part(number)).unwrap().len();
        (if number == 2 { 0 } else { bytes(2) }, bytes(number))
    }

    fn flip(&self, number: u64, at: u64) {
        let mut bytes = fs::read(self.part(number)).unwrap();
        bytes[at as usize] ^= 1;
        fs::write(self.part(number), bytes).unwrap(); // the same file, which is mapped
    }
}

/// Reads everything in pieces, as a job does. Returns where pieces with damage began.
fn pass(checkpoint: &dyn Checkpoint, bytes: u64) -> Vec<u64> {
    let (mut from, mut damaged) = (0, Vec::new());
    loop {
        let next = match checkpoint.scrub(from, bytes) {
            Ok(next) => next,
            Err(Error::Corrupt { .. }) => {
                damaged.push(from);
                Some(from + bytes)
            }
            Err(error) => panic!("{error:?}"),
        };
        match next {
            Some(next) => from = next,
            None => return damaged,
        }
    }
}

fn is_damage<T>(result: Result<T>) -> bool {
    matches!(result.map(drop), Err(Error::Corrupt { .. }))
}

#[test]
fn pieces_cover_the_blocks_of_all_parts() {
    let scene = Scene::new();
    let checkpoint = scene.checkpointer.open(scene.checkpointer.list().unwrap()[0]).unwrap();
    let total = checkpoint.stats().bytes;
    assert!(total > 10 * BLOCK);
    for bytes in [1, BLOCK, 3 * BLOCK, 5 * BLOCK + 7] {
        let mut from = 0;
        while let Some(next) = checkpoint.scrub(from, bytes).unwrap() {
            assert!(next > from && next < total && next - from < bytes + BLOCK, "{from} to {next}");
            from = next;
        }
        assert!(from < total && total - from < bytes + BLOCK, "{from} of {total}");
    }
    assert_eq!(checkpoint.scrub(0, u64::MAX).unwrap(), None);
    for beyond in [total, total + 1, u64::MAX] {
        assert_eq!(checkpoint.scrub(beyond, 1).unwrap(), None);
    }
    assert!(!is_damage(compare(&*checkpoint, &scene.state.collections)));
}

/// Every block of every part, also those that were verified before, which no read would look at
/// again.
#[test]
fn damage_that_comes_later_is_found_and_noted_wherever_it_is() {
    for verified_before in [false, true] {
        for number in [1, 2] {
            let blocks = Scene::new().place(number).1 / BLOCK;
            for block in 0..blocks {
                let scene = Scene::new();
                let checkpoint = scene.checkpointer.open(scene.checkpointer.list().unwrap()[0]).unwrap();
                if verified_before {
                    assert_eq!(pass(&*checkpoint, BLOCK), [0; 0]);
                }
                let start = scene.place(number).0;
                scene.flip(number, block * BLOCK + 77);
                let damaged = pass(&*checkpoint, BLOCK);
                // The checksums of a damaged block of the tree are not believed.
                assert!(damaged.contains(&(start + block * BLOCK)), "part {number}, block {block}: {damaged:?}");
                assert!(damaged.iter().all(|at| (start..start + blocks * BLOCK).contains(at)), "{damaged:?}");
                let flag = |number| scene.directory.path().join(format!("{number:016x}.part.damaged")).exists();
                assert!(flag(number) && !flag(3 - number), "part {number}, block {block}");
                assert!(scene.checkpointer.damage().is_some());
            }
        }
    }
}

/// One piece with damage in both parts: both are noted, and the rest of the piece is read.
#[test]
fn damage_does_not_end_a_piece() {
    let scene = Scene::new();
    let checkpoint = scene.checkpointer.open(scene.checkpointer.list().unwrap()[0]).unwrap();
    scene.flip(1, 2 * BLOCK);
    scene.flip(2, BLOCK);
    assert!(is_damage(checkpoint.scrub(0, u64::MAX)));
    for number in [1, 2] {
        assert!(scene.directory.path().join(format!("{number:016x}.part.damaged")).exists(), "part {number}");
    }
}
