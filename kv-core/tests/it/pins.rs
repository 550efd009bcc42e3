//! What is pinned is kept, and nothing more.

use kv_core::{Crash, Error, Lsn, Store};

use crate::{
    assert_error,
    support::{Media, entries},
};

fn round(store: &Store, number: u64) {
    store.collection("a").unwrap().put("k", number.to_string()).unwrap();
    store.checkpoint().unwrap().unwrap();
}

#[test]
fn the_log_after_a_pin_and_the_checkpoint_before_it_are_kept_until_it_is_dropped() {
    let media = Media::default();
    let store = media.open().unwrap();
    (1..=3).for_each(|number| round(&store, number));
    let pin = store.pin(Lsn(3)).unwrap();
    let other = store.pin(Lsn(4)).unwrap();
    (4..=9).for_each(|number| round(&store, number));
    let stats = store.stats();
    assert_eq!((stats.pins, stats.pinned, stats.log.trimmed), (2, Some(Lsn(3)), Lsn(3)));
    let positions = || media.checkpointer().list().unwrap().iter().map(|id| id.lsn.0).collect::<Vec<_>>();
    assert_eq!(positions(), [9, 8, 4, 3]);
    assert_eq!(store.changes(pin.position()).unwrap().count(), 6);

    drop(pin);
    round(&store, 10);
    assert_eq!((positions(), store.stats().log.trimmed), (vec![10, 9, 4], Lsn(4)), "for the other pin");
    drop(other);
    round(&store, 11);
    assert_eq!((store.stats().pinned, store.stats().log.trimmed), (None, Lsn(10)));
    assert_eq!(positions(), [11, 10]);
    assert_error!(store.pin(Lsn(4)), Error::Trimmed { .. });
}

#[test]
fn a_pinned_store_is_compacted_as_far_as_the_pin_allows() {
    let media = Media::default();
    let store = media.open().unwrap();
    (1..=3).for_each(|number| round(&store, number));
    let pin = store.pin(Lsn(2)).unwrap();
    store.compact().unwrap();
    assert_eq!(store.stats().log.trimmed, Lsn(2));
    assert_eq!(entries(&media.after(Crash::Killed).open().unwrap(), "a").len(), 1);
    drop(pin);
    store.compact().unwrap();
    assert_eq!(store.stats().log.trimmed, Lsn(3));
    assert_eq!(media.checkpointer().list().unwrap().len(), 1);
}
