use std::{sync::Barrier, thread};

use crate::checkpointer::{
    CheckpointerHarness,
    image::{Go, Image},
    support::{assert_opens_as, assert_state, key, list, open, open_checkpoint, sample, value, write, write_with},
};
use crate::threads::join_all;

/// A write does not disturb readers, nor threads that list and open checkpoints.
pub fn reads_with_threads_beside_a_write(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 200);
    let first = write(&*checkpointer, None, &image);
    let mut next = image.later();
    let collection = *next.collections.keys().next().unwrap();
    for n in 0..300 {
        next.put(collection, &key(n), &value(2, n));
    }
    let read_everything = || assert_state(&*first, &image);
    thread::scope(|scope| {
        let read_on = || {
            for _ in 0..20 {
                read_everything();
                assert!(list(&*checkpointer).contains(&first.id()), "C3: a checkpoint is not listed during a write");
                assert_state(&*open_checkpoint(&*checkpointer, first.id()), &image);
            }
        };
        let readers = [(); 2].map(|()| scope.spawn(read_on));
        let mut changes = next.changes().with(|given| {
            if given == 150 {
                // The write waits until these threads have read everything.
                thread::scope(|scope| join_all([(); 2].map(|()| scope.spawn(read_everything))));
            }
            Ok(Go::On)
        });
        let second = write_with(&*checkpointer, Some(first.id()), &mut changes).unwrap();
        assert_state(&*second, &next);
        join_all(readers);
    });
}

/// Concurrent writes each take effect as if they were alone.
pub fn writers_wait_for_each_other(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 50);
    let first = write(&*checkpointer, None, &image).id();
    let collection = *image.collections.keys().next().unwrap();
    let images: Vec<_> = (0..4)
        .map(|seed| {
            let mut image = image.later();
            for n in 0..50 {
                image.put(collection, &key(n * (seed + 1)), &value(100 + seed as u64, n));
            }
            image
        })
        .collect();
    let together = Barrier::new(images.len());
    let written: Vec<_> = thread::scope(|scope| {
        let write = |image: &Image| {
            together.wait();
            write_with(&*checkpointer, Some(first), &mut image.changes()).unwrap()
        };
        let threads: Vec<_> = images.iter().map(|image| scope.spawn(move || write(image))).collect();
        join_all(threads)
    });
    for (checkpoint, image) in written.iter().zip(&images) {
        assert_state(&**checkpoint, image);
    }
    let newest = written.iter().zip(&images).max_by_key(|(checkpoint, _)| checkpoint.id()).unwrap();
    let id = newest.0.id();
    assert_eq!(list(&*checkpointer), [id, first], "C7: of concurrent writes, more than the last one is listed");
    assert_opens_as(&*checkpointer, id, newest.1);
}
