//! The recovery table, row by row, over real backends.

use kv_core::{CheckpointDamage, Crash, Error, Log, Lsn, MemoryLog, Refusal, Store, StoreOptions};

use crate::{
    assert_error,
    support::{GatedLog, Media, entries},
};

/// A closed store with ten records and checkpoints at the given positions. Its log is not trimmed.
fn closed(checkpoints_at: &[u64]) -> Media {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(log, media.checkpointer(), StoreOptions::default()).unwrap();
    for lsn in 1..=10 {
        store.collection("a").unwrap().put(format!("{lsn:02}"), lsn.to_string()).unwrap();
        if checkpoints_at.contains(&lsn) {
            store.checkpoint().unwrap().unwrap();
        }
    }
    store.close().unwrap();
    media
}

fn trim(media: &Media, upto: u64) {
    MemoryLog::open(&media.log).unwrap().trim(Lsn(upto)).unwrap();
}

fn damage(media: &Media, newest: usize) {
    let ids = media.checkpointer().list().unwrap();
    media.checkpoints.damage(ids[newest], CheckpointDamage::Head);
}

fn assert_whole(store: &Store) {
    let expected: Vec<_> = (1..=10).map(|n| (format!("{n:02}").into_bytes(), n.to_string().into_bytes())).collect();
    assert_eq!(entries(store, "a"), expected);
}

fn refusal(media: &Media) -> Refusal {
    match media.open() {
        Err(Error::Unrecoverable(refusal)) => refusal,
        other => panic!("not refused as it should be: {other:?}"),
    }
}

#[test]
fn without_a_checkpoint_everything_is_replayed() {
    let media = closed(&[]);
    let store = media.open().unwrap();
    assert_eq!(store.recovery().checkpoint, None);
    assert_eq!(store.recovery().replayed_records, 10);
    assert_whole(&store);
}

#[test]
fn without_a_checkpoint_a_trimmed_log_is_refused() {
    let media = closed(&[]);
    trim(&media, 3);
    assert_eq!(refusal(&media), Refusal::HistoryMissing { checkpoint: None, trimmed: Lsn(3), bad: Vec::new() });
}

#[test]
fn a_good_checkpoint_is_used_and_what_follows_is_replayed() {
    let media = closed(&[4, 8]);
    let store = media.open().unwrap();
    assert_eq!(store.recovery().checkpoint.unwrap().lsn, Lsn(8));
    assert_eq!(store.recovery().replayed_records, 2);
    assert_whole(&store);
}

#[test]
fn a_log_that_ends_before_a_checkpoint_is_refused_even_if_the_checkpoint_is_bad() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap();
    a.put("1", "v").unwrap();
    let too_early = media.log.after(Crash::Killed);
    a.put("2", "v").unwrap();
    let newest = store.checkpoint().unwrap().unwrap();
    let put_back = Media { log: too_early, checkpoints: media.checkpoints.after_crash() };
    let early = Refusal::LogEndsEarly { checkpoint: newest, durable: Lsn(1) };
    assert_eq!(refusal(&put_back), early);
    damage(&put_back, 0);
    assert_eq!(refusal(&put_back), early);
}

#[test]
fn a_log_from_the_beginning_makes_up_for_two_bad_checkpoints() {
    for checkpoints_at in [&[4, 8][..], &[8]] {
        let media = closed(checkpoints_at);
        for newest in 0..checkpoints_at.len() {
            damage(&media, newest);
        }
        let store = media.open().unwrap();
        assert_eq!(store.recovery().checkpoint, None);
        assert_eq!(store.recovery().bad_checkpoints.len(), checkpoints_at.len());
        assert_eq!(store.recovery().replayed_records, 10);
        assert_whole(&store);
        store.checkpoint().unwrap().unwrap();
        assert_eq!(media.checkpointer().list().unwrap().len(), 1, "the bad ones are set aside");
    }
}

#[test]
fn a_gap_between_checkpoint_and_log_is_refused() {
    let media = closed(&[4]);
    trim(&media, 6);
    match refusal(&media) {
        Refusal::HistoryMissing { checkpoint: Some(id), trimmed, bad } => {
            assert_eq!((id.lsn, trimmed, bad), (Lsn(4), Lsn(6), Vec::new()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_checkpoint_is_skipped_for_the_one_before_and_set_aside_by_the_next() {
    let media = closed(&[4, 8]);
    damage(&media, 0);
    let bad = media.checkpointer().list().unwrap()[0];
    let store = media.open().unwrap();
    assert_eq!(store.recovery().checkpoint.unwrap().lsn, Lsn(4));
    assert_eq!(store.recovery().replayed_records, 6);
    let [(reported, error)] = &store.recovery().bad_checkpoints[..] else { panic!("{:?}", store.recovery()) };
    assert_eq!(*reported, bad);
    assert!(matches!(**error, Error::Corrupt { .. }));
    assert!(store.recovery().to_string().contains("cannot be used"));
    assert_whole(&store);

    store.checkpoint().unwrap().unwrap();
    assert_eq!(media.checkpoints.set_aside(), [bad]);
    let positions: Vec<_> = media.checkpointer().list().unwrap().iter().map(|id| id.lsn).collect();
    assert_eq!(positions, [Lsn(10), Lsn(4)]);
}

#[test]
fn a_bad_checkpoint_before_which_history_is_missing_is_refused() {
    let media = closed(&[4, 8]);
    damage(&media, 0);
    trim(&media, 5);
    match refusal(&media) {
        Refusal::HistoryMissing { checkpoint: Some(id), .. } => assert_eq!(id.lsn, Lsn(4)),
        other => panic!("{other:?}"),
    }
    let media = closed(&[8]);
    damage(&media, 0);
    trim(&media, 5);
    let id = media.checkpointer().list().unwrap()[0];
    let why = media.checkpointer().open(id).err().unwrap().chain();
    let refused = refusal(&media);
    let message = format!("; the checkpoint at position 8 cannot be used: {why}");
    assert!(refused.to_string().ends_with(&message), "{refused}");
    assert_eq!(refused, Refusal::HistoryMissing { checkpoint: None, trimmed: Lsn(5), bad: vec![(id, why)] });
}

/// Met damage stops removal while new checkpoints are made above it. So what heals it may be the
/// third.
#[test]
fn a_third_checkpoint_is_used_if_the_log_reaches_back_to_it() {
    let media = Media::default();
    let store = media.open().unwrap();
    let (mut made, mut pins) = (Vec::new(), Vec::new());
    for key in 0..3_u8 {
        store.collection("a").unwrap().put([key], "v").unwrap();
        made.push(store.checkpoint().unwrap().unwrap());
        pins.push(store.pin(made[0].lsn).unwrap());
    }
    let media = media.after(Crash::Killed);
    made[1..].iter().for_each(|id| media.checkpoints.damage(*id, CheckpointDamage::Head));
    let store = media.open().unwrap();
    assert_eq!(store.recovery().checkpoint, Some(made[0]));
    assert_eq!((store.recovery().bad_checkpoints.len(), entries(&store, "a").len()), (2, 3));
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    let media = Media { log: closed(&[]).log, checkpoints: closed(&[8]).checkpoints };
    assert!(matches!(refusal(&media), Refusal::ForeignCheckpoint { .. }));
}

#[test]
fn a_record_of_another_format_is_refused() {
    let media = Media::default();
    let log = MemoryLog::open(&media.log).unwrap();
    log.append(b"not a record of a store", kv_core::Durability::Disk).unwrap();
    log.close().unwrap();
    drop(log);
    assert_error!(media.open(), Error::NewerVersion { .. });

    let media = Media::default();
    let log = MemoryLog::open(&media.log).unwrap();
    log.append(&[1, 0, 0, 0, 1, 0, 0, 0], kv_core::Durability::Disk).unwrap();
    log.close().unwrap();
    drop(log);
    assert_error!(media.open(), Error::Corrupt { .. });
}

#[test]
fn what_a_crash_leaves_is_what_was_acknowledged() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap();
    a.put("disk", "1").unwrap();
    a.with_durability(kv_core::Durability::Process).put("process", "1").unwrap();

    let killed = media.after(Crash::Killed).open().unwrap();
    assert_eq!(entries(&killed, "a").len(), 2);
    let cut = media.after(Crash::PowerCut).open().unwrap();
    assert!(cut.collection("a").unwrap().contains("disk").unwrap());
    store.sync().unwrap();
    let cut = media.after(Crash::PowerCut).open().unwrap();
    assert_eq!(entries(&cut, "a").len(), 2);
}
