use crate::kv::Kv;

#[test]
fn changes_in_order_for_people_and_programs() {
    let kv = Kv::new();
    kv.ok(&["put", "fruit", "apple", "a\tb"]);
    kv.ok(&["put", "fruit", "ff", "00", "--hex"]);
    kv.ok(&["delete", "fruit", "apple"]);
    kv.ok(&["rename", "fruit", "food"]);
    kv.ok(&["drop", "food", "--yes"]);
    let expected = "1\tcreate\tfruit\n1\tput\tfruit\tapple\ta\\tb\n2\tput\tfruit\t\\xff\t\\x00\n\
        3\tdelete\tfruit\tapple\n4\trename\tfruit\tfood\n5\tdrop\tfood\n";
    assert_eq!(kv.ok(&["changes"]), expected);
    assert_eq!(kv.ok(&["changes", "--after", "1", "--limit", "1", "--hex"]), "2\tput\tfruit\tff\t00\n");
    assert_eq!(kv.ok(&["changes", "--after", "5"]), "");
    let json = kv.ok(&["changes", "--json", "--after", "1"]);
    assert_eq!(
        json,
        "{\"position\":2,\"change\":\"put\",\"collection\":\"fruit\",\"key_base64\":\"/w==\",\"value\":\"\\u0000\"}\n\
         {\"position\":3,\"change\":\"delete\",\"collection\":\"fruit\",\"key\":\"apple\"}\n\
         {\"position\":4,\"change\":\"rename\",\"collection\":\"fruit\",\"name\":\"food\"}\n\
         {\"position\":5,\"change\":\"drop\",\"collection\":\"food\"}\n"
    );
    let err = kv.fails(1, &["changes", "--after", "6"]);
    assert_eq!(err, "kv: there is no position 6 yet: the last one is 5\n");
}

#[test]
fn what_the_log_has_forgotten_is_said() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.trim_log();
    let err = kv.fails(1, &["changes", "--after", "1"]);
    assert!(err.starts_with("kv: the log no longer has all changes after position 1, only those after "), "{err}");
    let ran = kv.run(&["changes", "--hex"]);
    assert!(
        ran.err.starts_with("kv: note: changes up to position ") && ran.err.ends_with(" are no longer in the log\n")
    );
    let out = ran.expect(0);
    assert!(out.lines().last().unwrap().starts_with("21\tput\tc\t6b\t1313"), "{out:.200}");
}
