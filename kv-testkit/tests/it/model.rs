use kv_testkit::{Model, Operation, Outcome};

fn compare_and_set(collection: &str, expected: Option<&str>, new: Option<&str>) -> Operation {
    let bytes = |value: &str| value.as_bytes().to_vec();
    Operation::CompareAndSet {
        collection: collection.to_owned(),
        key: b"m".to_vec(),
        expected: expected.map(bytes),
        new: new.map(bytes),
    }
}

#[test]
fn applies_operations() {
    let mut model = Model::default();
    for (operation, outcome) in [
        (Operation::delete("a", "k"), Outcome::KeyNotFound),
        (Operation::delete_if_present("a", "k"), Outcome::Unchanged),
        (compare_and_set("a", Some("1"), Some("2")), Outcome::Mismatch),
        (compare_and_set("a", None, None), Outcome::Done),
        (Operation::drop("a"), Outcome::CollectionNotFound),
    ] {
        assert_eq!(model.apply(&operation), outcome);
        assert_eq!(model, Model::default(), "a refused operation changes nothing, and no such operation creates");
    }
    for (operation, outcome) in [
        (Operation::create("a"), Outcome::Done),
        (Operation::create("a"), Outcome::Unchanged),
        (Operation::put("b", "k", "1"), Outcome::Done),
        (Operation::put("b", "k", "2"), Outcome::Done),
        (Operation::put("b", "kk", ""), Outcome::Done),
        (Operation::delete("b", "kk"), Outcome::Done),
        (Operation::put("b", "l", "3"), Outcome::Done),
        (Operation::delete_if_present("b", "l"), Outcome::Done),
        (compare_and_set("b", None, Some("4")), Outcome::Done),
        (compare_and_set("b", None, Some("5")), Outcome::Mismatch),
        (compare_and_set("b", Some("4"), None), Outcome::Done),
    ] {
        assert_eq!(model.apply(&operation), outcome, "{operation:?}");
    }
    assert!(model.is_empty("a") && model.len("b") == 1 && model.len("c") == 0);
    assert_eq!(model.prefix("b", b"k").collect::<Vec<_>>(), [(&b"k"[..], &b"2"[..])]);
    assert_eq!(model.prefix("b", b"kk").count(), 0);
    assert!(model.collections().keys().eq(["a", "b"]));
    assert_eq!(model.apply(&Operation::drop("b")), Outcome::Done);
    assert_eq!(model.get("b", b"k"), None);
}

#[test]
fn applies_batches_whole_or_not_at_all() {
    let mut model = Model::default();
    let before = model.clone();
    let batch = [Operation::put("a", "k", "1"), Operation::delete("a", "k"), Operation::delete("a", "k")];
    assert_eq!(model.apply_batch(&batch), Outcome::KeyNotFound);
    assert_eq!(model, before);
    assert_eq!(model.apply_batch(&batch[..2]), Outcome::Done);
    assert_eq!(model.len("a"), 0);
}
