use super::*;

const A: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };
const B: CollectionId = CollectionId { lsn: Lsn(1), index: 1 };
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

const ALL: Bounds<'_> = (Bound::Unbounded, Bound::Unbounded);

fn get(memtable: &Memtable, collection: CollectionId, position: u64) -> Option<Option<Value>> {
    let seen = memtable.version(collection, b"key", Lsn(position))?;
    Some(seen.value.map(SeenValue::handle))
}

/// The keys of a collection, taken from the two ends in turn and put in order.
fn keys(
    memtable: &Arc<Memtable>,
    id: CollectionId,
    bounds: (Bound<&[u8]>, Bound<&[u8]>),
    position: u64,
) -> Vec<Vec<u8>> {
    let Some(mut scan) = memtable.scan(id, bounds, Lsn(position)) else { return Vec::new() };
    let (mut front, mut back) = (Vec::new(), Vec::new());
    while let Some(first) = scan.next(Direction::Forward) {
        front.push(scan.read(first).0.to_vec());
        back.extend(scan.next(Direction::Backward).map(|last| scan.read(last).0.to_vec()));
    }
    front.extend(back.into_iter().rev());
    front
}

#[test]
fn versions_are_seen_at_their_positions_and_collections_are_apart() {
    let mut writer = Writer::new(Lsn(10));
    writer.apply(Lsn(11), A, b"key", Some(b"one"));
    writer.apply(Lsn(12), B, b"key", Some(b"other"));
    writer.apply(Lsn(13), A, b"key", None);
    let memtable = writer.memtable();
    assert_eq!([0, 9, 10].map(|position| get(memtable, A, position)), [None, None, None]);
    assert_eq!(get(memtable, A, 12), Some(Some("one".into())));
    assert_eq!(get(memtable, A, 13), Some(None));
    assert_eq!(get(memtable, A, u64::MAX), Some(None));
    assert_eq!(get(memtable, B, 13), Some(Some("other".into())));
    assert_eq!(memtable.version(B, b"key", Lsn(13)).unwrap().lsn, Lsn(12));
    assert_eq!(memtable.entries(), 2);
}

#[test]
fn keys_are_in_order_whenever_they_come() {
    let mut writer = Writer::new(Lsn(0));
    let mut all = std::collections::BTreeSet::new();
    for round in 1..200_u64 {
        // Keys with the same beginning, of different lengths, some of them again.
        let number = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57;
        let key = [&b"the same"[..], &number.to_be_bytes()[7 - (number % 3) as usize..]].concat();
        writer.apply(Lsn(round), A, &key, Some(b""));
        writer.apply(Lsn(round), B, b"another", Some(b""));
        all.insert(key);
        let expected: Vec<_> = all.iter().cloned().collect();
        if round % 7 == 0 || round > 190 {
            assert_eq!(keys(writer.memtable(), A, ALL, round), expected);
        }
        let (low, high) = (&expected[expected.len() / 3], &expected[expected.len() / 2]);
        let bounds: [Bounds<'_>; 3] = [
            (Bound::Included(low), Bound::Excluded(high)),
            (Bound::Excluded(low), Bound::Included(high)),
            (Bound::Included(high), Bound::Unbounded),
        ];
        for bounds in bounds {
            let within: Vec<_> = all.range::<[u8], _>(bounds).cloned().collect();
            assert_eq!(keys(writer.memtable(), A, bounds, round), within);
        }
    }
    assert_eq!(keys(writer.memtable(), CollectionId::NAMES, ALL, 1000), Vec::<Vec<u8>>::new());
}

#[test]
fn a_scan_sees_its_position() {
    let mut writer = Writer::new(Lsn(0));
    writer.apply(Lsn(1), A, b"a", Some(b""));
    writer.apply(Lsn(2), A, b"b", Some(b""));
    writer.apply(Lsn(3), A, b"a", None);
    assert_eq!(keys(writer.memtable(), A, ALL, 1), [b"a"]);
    assert_eq!(keys(writer.memtable(), A, ALL, 3), [b"a", b"b"], "a tombstone is a version, too");
}

/// What goes into a checkpoint: the newest version of each key, in order, without collections that
/// do not exist.
#[test]
fn changes_are_in_order_and_the_newest() {
    let mut writer = Writer::new(Lsn(0));
    let long = vec![1; 2 * ARENA_VALUE_BYTES_MAX];
    for (lsn, id, key, value) in [
        (1, B, &b"k"[..], Some(&b"old"[..])),
        (2, B, b"k", Some(b"new")),
        (3, A, b"the same beginning 2", Some(&long)),
        (4, A, b"the same beginning 1", None),
        (5, CollectionId { lsn: Lsn(0), index: 5 }, b"gone", Some(b"")),
        (6, CollectionId::NAMES, b"name", Some(b"n")),
    ] {
        writer.apply(Lsn(lsn), id, key, value);
    }
    let exists = |id: CollectionId| Ok(id.index != 5);
    let mut changes = writer.memtable().changes(exists, &mut || Ok(())).unwrap();
    let mut seen = Vec::new();
    while let Some(Change { collection, key, value }) = changes.next() {
        seen.push((collection, key.to_vec(), value.map(<[u8]>::to_vec)));
    }
    let expected = [
        (CollectionId::NAMES, b"name".to_vec(), Some(b"n".to_vec())),
        (A, b"the same beginning 1".to_vec(), None),
        (A, b"the same beginning 2".to_vec(), Some(long)),
        (B, b"k".to_vec(), Some(b"new".to_vec())),
    ];
    assert_eq!(seen, expected);
}

/// With every lock of the memtable held.
#[test]
fn a_point_read_takes_no_lock() {
    let mut writer = Writer::new(Lsn(0));
    writer.apply(Lsn(1), A, b"key", Some(b"one"));
    let memtable = writer.memtable();
    let _numbers = write(&memtable.numbers);
    let _orders: Vec<_> = memtable.collections.iter().map(|collection| lock(&collection.order)).collect();
    assert_eq!(get(memtable, A, 1), Some(Some("one".into())));
}
