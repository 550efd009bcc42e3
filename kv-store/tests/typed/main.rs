//! Typed collections: the order of keys, what is not of the types, and the verbs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use kv_store::{
    Store,
    typed::{Codec, Error, Json, Key, Typed},
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = kv_store::open(directory.path().join("data")).unwrap();
    (directory, store)
}

/// Bytes sort as the keys do, and give the keys back. The same holds if another part follows.
fn check<K: Key + Ord + Clone + std::fmt::Debug>(one: &K, other: &K) {
    assert_eq!(one.to_bytes().cmp(&other.to_bytes()), one.cmp(other), "{one:?} {other:?}");
    assert_eq!(K::from_bytes(&one.to_bytes()).as_ref(), Some(one));
    let (first, second) = ((one.clone(), 7_u8), (other.clone(), 3_u8));
    assert_eq!(first.to_bytes().cmp(&second.to_bytes()), first.cmp(&second), "{first:?} {second:?}");
    assert_eq!(<(K, u8)>::from_bytes(&first.to_bytes()), Some(first));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..6)
}

type Parts = (i16, Vec<u8>, String, bool);

fn parts() -> impl Strategy<Value = Parts> {
    (any::<i16>(), bytes(), "[a\0b]{0,3}", any::<bool>())
}

proptest! {
    #[test]
    fn bytes_sort_as_keys(one in parts(), other in parts(), number in any::<i64>(), large in any::<(u128, i128)>()) {
        check(&one.0, &other.0);
        check(&one.1, &other.1);
        check(&one.2, &other.2);
        check(&one.3, &other.3);
        check(&one, &other);
        check(&(one.2.clone(), one.1.clone()), &(other.2.clone(), other.1.clone()));
        check(&((one.1.clone(), one.0), one.2.clone()), &((other.1.clone(), other.0), other.2.clone()));
        check(&number, &i64::from(one.0));
        check(&large, &(number.unsigned_abs().into(), number.into()));
        check(&number.to_be_bytes(), &large.0.to_be_bytes()[8..].try_into().unwrap());
    }

    #[test]
    fn what_is_no_key_is_none(bytes in bytes()) {
        if let Some(key) = Parts::from_bytes(&bytes) {
            prop_assert_eq!(key.to_bytes(), &bytes[..]);
        }
        if let Some(key) = <(String, u32)>::from_bytes(&bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }
}

#[test]
fn keys_have_these_bytes() {
    assert_eq!(1_u16.to_bytes(), [0, 1]);
    assert_eq!((-2_i32).to_bytes(), [0x7f, 0xff, 0xff, 0xfe]);
    assert_eq!("a\0b".to_owned().to_bytes(), b"a\0b");
    assert_eq!(("a\0b".to_owned(), true).to_bytes(), b"a\0\xffb\0\0\x01");
    assert_eq!(u32::from_bytes(&[1, 2, 3]), None);
    assert_eq!(u8::from_bytes(&[1, 2]), None);
    assert_eq!(bool::from_bytes(&[2]), None);
    assert_eq!(String::from_bytes(&[0xff]), None);
    assert_eq!(<(String, u8)>::from_bytes(b"no end"), None);
    assert_eq!(<(String, u8)>::from_bytes(b"a\0\x01b"), None);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    total: u32,
    notes: Vec<String>,
}

fn order(total: u32) -> Order {
    Order { total, notes: vec!["é".into()] }
}

#[test]
fn the_verbs_agree_with_a_map() {
    let (_directory, store) = store();
    let orders: Typed<(String, i32), Order> = Typed::new(store.collection("orders").unwrap());
    let mut model = BTreeMap::new();
    for (name, number) in [("bob", 2_i32), ("alice", -1), ("alice", 300), ("al", 5), ("bob", -7)] {
        let (key, value) = ((name.to_owned(), number), order(number.unsigned_abs()));
        orders.put(&key, &value).unwrap();
        model.insert(key, value);
    }
    let all =
        |entries: kv_store::typed::TypedEntries<(String, i32), Order>| entries.map(Result::unwrap).collect::<Vec<_>>();
    let expected: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(all(orders.iter()), expected);
    let backwards: Vec<_> = orders.iter().rev().map(Result::unwrap).collect();
    assert!(backwards.iter().eq(expected.iter().rev()));
    let from = ("alice".to_owned(), 0);
    let above: Vec<_> = model.range(from.clone()..).map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(all(orders.range(from.clone()..)), above);
    assert_eq!(all(orders.prefix(&"alice".to_owned())), expected[1..3]);
    assert_eq!(all(orders.prefix(&"ali".to_owned())), [], "a part is compared as a whole");

    assert_eq!(orders.get(&("bob".into(), 2)).unwrap(), Some(order(2)));
    assert!(orders.contains(&("bob".into(), 2)).unwrap() && !orders.contains(&from).unwrap());
    assert_eq!(orders.get(&from).unwrap(), None);
    orders.delete(&("bob".into(), 2)).unwrap();
    assert!(matches!(orders.delete(&from), Err(Error::Store(kv_store::Error::KeyNotFound { .. }))));
    assert!(!orders.delete_if_present(&from).unwrap());
    assert_eq!(orders.pop_first().unwrap(), Some((("al".into(), 5), order(5))));
    assert_eq!(orders.clone().pop_last().unwrap(), Some((("bob".into(), -7), order(7))));
    assert_eq!(orders.collection().len().unwrap(), 2);
    assert_eq!(format!("{orders:?}"), "Typed(\"orders\")");
}

#[test]
fn what_is_of_other_types_is_an_error_that_says_where() {
    let (_directory, store) = store();
    let collection = store.collection("numbers").unwrap();
    let numbers: Typed<u32, u8> = Typed::new(collection.clone());
    collection.put(1_u32.to_be_bytes(), "300").unwrap();
    collection.put("no", "1").unwrap();
    numbers.put(&0, &7).unwrap();
    let found: Vec<_> = numbers.iter().collect();
    assert_eq!(*found[0].as_ref().unwrap(), (0, 7));
    let [value, key] = [1, 2].map(|at| found[at].as_ref().unwrap_err());
    assert_eq!(key.to_string(), "the key \"no\" of \"numbers\" is not of the type of the keys");
    assert!(matches!(value, Error::Value { source, .. } if source.to_string().contains("300")));
    assert!(value.to_string().contains(r#""\x00\x00\x00\x01" in "numbers""#), "{value}");
    assert!(matches!(numbers.get(&1), Err(Error::Value { .. })));
    assert!(std::error::Error::source(value).is_some() && std::error::Error::source(key).is_none());

    let maps: Typed<u32, BTreeMap<(u8, u8), u8>> = Typed::new(collection.clone());
    let refused = maps.put(&9, &BTreeMap::from([((1, 2), 3)]));
    assert!(matches!(refused, Err(Error::Encode(_))), "keys of JSON objects are strings");
    assert!(!collection.contains(9_u32.to_be_bytes()).unwrap());
}

#[test]
fn values_are_json_and_transactions_use_the_same_bytes() {
    let (_directory, store) = store();
    let orders: Typed<u64, Order> = Typed::new(store.collection("orders").unwrap());
    let bytes = Json::encode(&order(1)).unwrap();
    assert_eq!(bytes, "{\"total\":1,\"notes\":[\"é\"]}".as_bytes());
    store.transact(|tx| tx.put("orders", 5_u64.to_bytes(), &bytes)).unwrap();
    assert_eq!(orders.get(&5).unwrap(), Some(order(1)));
}
