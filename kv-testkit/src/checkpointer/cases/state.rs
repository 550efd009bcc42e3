use std::{
    collections::VecDeque,
    ops::{Bound, RangeBounds},
};

use fastrand::Rng;
use kv_core::KEY_BYTES_MAX;

use crate::checkpointer::{
    CheckpointerHarness,
    image::Image,
    support::{self, assert_opens_as, changed, key, open, read_below, sample, value, write},
};

/// Writes the image as the first checkpoint, and checks it, now and after reopening.
fn write_and_open_again(harness: &mut dyn CheckpointerHarness, image: &Image) {
    let checkpointer = open(harness);
    let id = write(&*checkpointer, None, image).id();
    drop(checkpointer);
    assert_opens_as(&*open(harness), id, image);
}

/// Over many checkpoints, each holds the previous one with the changes applied.
pub fn c5_applies_changes(harness: &mut dyn CheckpointerHarness) {
    let mut rng = Rng::with_seed(5);
    let mut image = sample(1, 10, 100);
    let mut checkpointer = open(harness);
    let mut previous = None;
    for round in 0..25 {
        let id = write(&*checkpointer, previous, &image).id();
        if round % 4 == 0 {
            drop(checkpointer);
            checkpointer = open(harness);
        }
        assert_opens_as(&*checkpointer, id, &image);
        if let Some(previous) = previous.filter(|_| round % 3 == 0) {
            checkpointer.remove(previous).unwrap();
        }
        previous = Some(id);
        image = changed(&image, &mut rng);
    }
}

/// No collection, empty collections, no change.
pub fn c5_empty(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let nothing = Image::new(1, 0);
    let first = write(&*checkpointer, None, &nothing).id();
    let mut image = nothing.later();
    image.create(0, "empty");
    let with_one = image.create(1, "not empty");
    image.create(2, "\u{1f5dd} \u{0} /..");
    image.put(with_one, b"k", b"");
    let second = write(&*checkpointer, Some(first), &image).id();
    let unchanged = image.later();
    let third = write(&*checkpointer, Some(second), &unchanged).id();
    drop(checkpointer);

    let checkpointer = open(harness);
    assert_opens_as(&*checkpointer, first, &nothing);
    assert_opens_as(&*checkpointer, second, &image);
    assert_opens_as(&*checkpointer, third, &unchanged);
}

/// A deletion of a key that does not exist is no entry: not in a first checkpoint, not of a key
/// that was put and deleted since the last one, and not of one that an older checkpoint deleted.
pub fn c5_deletions_of_nothing(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let mut image = Image::new(1, 10);
    let id = image.create(0, "mostly deleted");
    image.put(id, &key(3), b"stays");
    for n in [1, 4, 6] {
        image.put(id, &key(n), b"gone");
        image.delete(id, &key(n));
    }
    let mut written = write(&*checkpointer, None, &image).id();
    for _ in 0..3 {
        image = image.later();
        for n in [0, 1, 2, 5, 6, 7] {
            image.delete(id, &key(n));
        }
        written = write(&*checkpointer, Some(written), &image).id();
    }
    drop(checkpointer);
    assert_opens_as(&*open(harness), written, &image);
}

/// A collection gets another name, and keeps its entries.
pub fn c5_renames_collections(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 20);
    let written = write(&*checkpointer, None, &image).id();
    let mut image = image.later();
    let id = *image.collections.keys().next().unwrap();
    image.rename(id, "another name");
    let written = write(&*checkpointer, Some(written), &image).id();
    drop(checkpointer);
    assert_opens_as(&*open(harness), written, &image);
}

/// Deleted keys are gone, keys that were deleted and put again are there, and deleting a key that
/// never existed does no harm.
pub fn c5_tombstones(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 40);
    let id = write(&*checkpointer, None, &image).id();
    let collection = *image.collections.keys().next().unwrap();
    let mut image = image.later();
    for n in (0..40).step_by(2) {
        image.delete(collection, &key(n));
    }
    image.delete(collection, b"never there");
    let id = write(&*checkpointer, Some(id), &image).id();
    let mut image = image.later();
    for n in (0..40).step_by(4) {
        image.put(collection, &key(n), b"again");
    }
    let id = write(&*checkpointer, Some(id), &image).id();
    let mut image = image.later();
    for n in 0..40 {
        image.delete(collection, &key(n));
    }
    let id = write(&*checkpointer, Some(id), &image).id();
    drop(checkpointer);
    assert_opens_as(&*open(harness), id, &image);
}

/// Collections without a name are gone, and one created again under the same name starts empty.
pub fn c5_drops_collections(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 40);
    let id = write(&*checkpointer, None, &image).id();
    let dropped = *image.collections.keys().next().unwrap();
    let mut image = image.later();
    image.drop_collection(dropped);
    let again = image.create(9, "collection 0");
    image.put(again, &key(1), b"new");
    let id = write(&*checkpointer, Some(id), &image).id();
    drop(checkpointer);
    assert_opens_as(&*open(harness), id, &image);
}

/// The same keys in several collections have their own values.
pub fn c5_collections_are_independent(harness: &mut dyn CheckpointerHarness) {
    let mut image = Image::new(1, 10);
    for index in 0..20 {
        let id = image.create(index, &format!("{index}"));
        for n in (index as usize % 3..30).step_by(2) {
            image.put(id, &key(n), &value(index.into(), n));
        }
    }
    write_and_open_again(harness, &image);
}

/// Enough entries to fill many blocks, and lookups of all of them.
pub fn c5_many_entries(harness: &mut dyn CheckpointerHarness) {
    let mut image = sample(1, 10, 4000);
    let checkpointer = open(harness);
    let id = write(&*checkpointer, None, &image).id();
    drop(checkpointer);

    image = image.later();
    let collection = *image.collections.keys().next_back().unwrap();
    for n in (0..5000).step_by(7) {
        image.put(collection, &key(n), &value(1, n));
    }
    let checkpointer = open(harness);
    let id = write(&*checkpointer, Some(id), &image).id();
    assert_opens_as(&*checkpointer, id, &image);
}

/// Keys compare as bytes: shorter before longer, and bytes as unsigned numbers.
pub fn c5_keys_in_byte_order(harness: &mut dyn CheckpointerHarness) {
    let mut image = Image::new(1, 10);
    let id = image.create(0, "keys");
    let mut keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    for bytes in
        [&b"\0\0"[..], b"\0\xff", b"a\0", b"a\0\0", b"ab", b"aa", b"\x7f\x80", b"\xff\0", b"\xff\xff", b"\xff\xff\xff"]
    {
        keys.push(bytes.to_vec());
    }
    for len in [100, 4096, 20_000, KEY_BYTES_MAX] {
        keys.push(vec![b'k'; len]);
        keys.push([vec![b'k'; len - 1], vec![b'l']].concat());
    }
    for (n, key) in keys.iter().enumerate() {
        image.put(id, key, &value(1, n));
    }
    write_and_open_again(harness, &image);
}

/// Empty values, and values of several MiB.
pub fn c5_large_and_empty_values(harness: &mut dyn CheckpointerHarness) {
    let mut image = Image::new(1, 10);
    let id = image.create(0, "values");
    for (n, len) in [0, 1, 4095, 4096, 4097, 65_535, 65_536, 300_000, 3 << 20, 0].into_iter().enumerate() {
        let mut bytes = vec![0; len];
        Rng::with_seed(n as u64).fill(&mut bytes);
        image.put(id, &key(n), &bytes);
    }
    write_and_open_again(harness, &image);
}

/// A range gives exactly the keys within its bounds, for bounds of every kind.
pub fn c5_bounds_of_every_kind(harness: &mut dyn CheckpointerHarness) {
    let mut image = Image::new(1, 10);
    image.create(0, "before");
    let id = image.create(1, "keys");
    let after = image.create(2, "after");
    image.put(after, b"c", b"of the collection after");
    let keys = [&b"b"[..], b"bb", b"bc", b"d", b"d\0", b"f", b"\xff"];
    for key in keys {
        image.put(id, key, &[key, b"!"].concat());
    }
    let checkpointer = open(harness);
    let checkpoint = write(&*checkpointer, None, &image);
    let probes = [&b""[..], b"a", b"b", b"ba", b"bb", b"c", b"d", b"d\0", b"e", b"f", b"g", b"\xff", b"\xff\xff"];
    let bounds =
        || probes.iter().flat_map(|key| [Bound::Included(*key), Bound::Excluded(*key)]).chain([Bound::Unbounded]);
    for (lower, upper) in bounds().flat_map(|lower| bounds().map(move |upper| (lower, upper))) {
        let expected = keys.iter().filter(|key| RangeBounds::<[u8]>::contains(&(lower, upper), **key));
        let mut cursor = checkpoint.range(id, lower, upper).unwrap();
        for key in expected.clone() {
            assert!(cursor.advance().unwrap(), "C5: the range {lower:?} to {upper:?} ends before {key:?}");
            assert_eq!(cursor.key(), *key, "C5: the range {lower:?} to {upper:?} gives another key");
            assert_eq!(cursor.value(), [key, &b"!"[..]].concat(), "C5: a range gives another value");
        }
        assert!(!cursor.advance().unwrap(), "C5: the range {lower:?} to {upper:?} gives {:?}", cursor.key());
        let mut cursor = checkpoint.range(id, lower, upper).unwrap();
        for key in expected.rev() {
            assert!(cursor.retreat().unwrap(), "C5: the range {lower:?} to {upper:?}, backwards, ends before {key:?}");
            assert_eq!(cursor.key(), *key, "C5: the range {lower:?} to {upper:?}, backwards, gives another key");
        }
        assert!(!cursor.retreat().unwrap(), "C5: the range {lower:?} to {upper:?} gives {:?}", cursor.key());
    }
}

/// Taking entries from both ends of a range, in any order, and reading some in between, gives every
/// entry exactly once.
pub fn c5_taken_from_both_ends(harness: &mut dyn CheckpointerHarness) {
    let mut rng = Rng::with_seed(9);
    let image = sample(1, 10, 300);
    let checkpointer = open(harness);
    let checkpoint = write(&*checkpointer, None, &image);
    for (id, (_, entries)) in &image.collections {
        for likely in [0.0, 0.1, 0.5, 0.9] {
            let (from, to) = (key(rng.usize(..150)), key(rng.usize(150..320)));
            let mut left: VecDeque<_> = entries.range(from.clone()..to.clone()).collect();
            let mut cursor = checkpoint.range(*id, Bound::Included(&from), Bound::Excluded(&to)).unwrap();
            loop {
                let retreats = rng.f64() >= likely;
                let taken = if retreats { cursor.retreat() } else { cursor.advance() }.unwrap();
                let Some((key, value)) = (if retreats { left.pop_back() } else { left.pop_front() }) else {
                    assert!(!taken, "C5: {} was given from both ends", cursor.key().escape_ascii());
                    break;
                };
                assert!(taken, "C5: the cursor ends before {}", key.escape_ascii());
                assert_eq!(cursor.key(), *key, "C5: the cursor gives another key");
                assert!(cursor.value() == *value, "C5: the cursor gives another value of {}", key.escape_ascii());
                if !retreats && rng.u8(..4) == 0 {
                    left.push_front((key, value));
                    let end = (rng.u8(..8) > 0).then(|| support::key(rng.usize(..320)));
                    read_below(&mut *cursor, &mut left, end.as_deref(), rng.usize(1..30));
                }
            }
            assert!(!cursor.advance().unwrap() && !cursor.retreat().unwrap(), "C5: a cursor went on after its end");
        }
    }
}
