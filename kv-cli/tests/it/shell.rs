use crate::{kv::Kv, terminal::conversation};

fn with_fruit() -> Kv {
    let kv = Kv::new();
    kv.run_with_stdin(&["import", "fruit", "-"], b"apple\tgreen\npear\tyellow\n").expect(0);
    kv
}

#[test]
fn a_script_runs_line_by_line() {
    let kv = with_fruit();
    let script = "get fruit apple\n\n# a comment\nput fruit 'two words' \"a \\\"value\\\"\"\nlist fruit\ncount fruit\nexit\nnonsense\n";
    let ran = kv.run_with_stdin(&["shell"], script.as_bytes());
    assert_eq!(ran.err, "");
    assert_eq!(ran.expect(0), "greenapple\npear\ntwo words\n3\n");
    assert_eq!(kv.ok(&["get", "fruit", "two words"]), "a \"value\"");
}

#[test]
fn the_first_line_that_fails_ends_a_script() {
    let kv = with_fruit();
    for (line, code, reason) in [
        ("get fruit plum", 1, "there is no key \"plum\""),
        ("put fruit", 2, "the following required arguments were not provided: <KEY>; `help` lists"),
        ("nonsense", 2, "unrecognized subcommand 'nonsense'"),
        ("put c '' v", 3, "a key has 1 to 65535 bytes"),
        ("put 'c", 2, "a quote is not closed"),
        ("drop fruit", 2, "this needs --yes"),
        ("verify", 2, "this cannot be done in the shell"),
        ("shell", 2, "this cannot be done in the shell"),
        ("commit", 2, "there is no transaction"),
        ("put fruit k -", 2, "`-` reads stdin, which holds the commands of this shell"),
        ("import c -", 2, "`-` reads stdin"),
        ("load -", 2, "`-` reads stdin"),
    ] {
        let ran = kv.run_with_stdin(&["shell"], format!("count fruit\n{line}\ncount fruit\n").as_bytes());
        assert_eq!(ran.out, b"2\n", "{line}");
        let err = ran.expect_failure(code);
        assert!(err.starts_with("kv: line 2: ") && err.contains(reason), "{line}: {err}");
    }
    kv.fails(1, &["--dir", "absent", "shell"]);
}

#[test]
fn a_transaction_is_seen_only_inside_until_it_is_committed() {
    let kv = with_fruit();
    let script = "begin\n\
        put fruit apple red\n\
        get fruit apple\n\
        put new k v\n\
        delete fruit pear\n\
        scan fruit\n\
        count new\n\
        pop fruit\n\
        list fruit\n\
        put fruit plum blue\n\
        get fruit plum apple\n";
    let inside = "redapple\tred\n1\napple\tred\nplum\tblue\n";
    let unfinished = kv.run_with_stdin(&["shell"], script.as_bytes());
    assert_eq!((unfinished.code, &*unfinished.out), (1, inside.as_bytes()), "{unfinished:?}");
    assert!(unfinished.err.starts_with("kv: line 11: there is no key \"apple\""), "{unfinished:?}");
    assert_eq!(kv.ok(&["scan", "fruit"]), "apple\tgreen\npear\tyellow\n");

    let script = script.replace("get fruit plum apple\n", "");
    let ended = kv.run_with_stdin(&["shell"], script.as_bytes());
    assert!(ended.expect_failure(2).contains("the input ended inside a transaction: nothing of it was written"));
    let aborted = kv.run_with_stdin(&["shell"], format!("{script}abort\ncount fruit\n").as_bytes());
    assert_eq!(aborted.err, "aborted: nothing was written\n");
    assert!(aborted.expect(0).ends_with("\n2\n"));
    assert_eq!(kv.ok(&["list"]), "fruit\t2\n");

    let committed = kv.run_with_stdin(&["shell"], format!("{script}commit\ncount fruit\n").as_bytes());
    assert_eq!(committed.err, "committed\n");
    assert!(committed.expect(0).ends_with("\n1\n"));
    assert_eq!(kv.ok(&["list"]), "fruit\t1\nnew\t1\n");
    assert_eq!(kv.ok(&["changes", "--after", "1", "--limit", "1"]).lines().count(), 6, "one record has all of it");
}

#[test]
fn a_transaction_changes_whole_collections() {
    let kv = with_fruit();
    let script = "begin\nrename fruit food\nscan food --reverse --limit 1\ndelete food --prefix pe --yes\n\
        clear food --yes\nput food k v\nput old k v\ndrop old --yes\ncount food\nchanges\n";
    let ran = kv.run_with_stdin(&["shell"], script.as_bytes());
    assert_eq!(ran.out, b"pear\tyellow\n1\n");
    assert!(ran.expect_failure(2).contains("a transaction knows put, get, delete, pop, list, scan, count, drop"));
    let script = script.replace("changes\n", "commit\n");
    kv.run_with_stdin(&["shell"], script.as_bytes()).expect(0);
    assert_eq!(kv.ok(&["list"]), "food\t1\n");
    assert_eq!(kv.ok(&["scan", "food"]), "k\tv\n");
}

#[test]
fn a_person_types_completes_and_goes_on_after_an_error() {
    let kv = with_fruit();
    let mut command = kv.command(&["shell", "--color=never"]);
    command.env("XDG_STATE_HOME", kv.path("state"));
    let (code, screen) = conversation(
        command,
        &[
            ("kv> ", "get fruit plum\r"),
            ("there is no key", "get fr\tap\t\r"),
            ("green", " put fruit secret x\r"),
            ("kv> ", "help count\r"),
            ("Print help", "drop fruit\r"),
            ("[y/N] ", "n\r"),
            ("nothing was changed", "count fruit\r"),
            ("\r\n3\r\n", "\u{4}"),
        ],
    );
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains(": 2 entries in 1 collection\n`help` lists the commands"), "{screen}");
    assert!(screen.contains("kv: there is no key \"plum\" in the collection \"fruit\"\n"), "{screen}");
    assert!(screen.contains("\ngreen\n"), "{screen}");
    assert!(screen.contains("Print how many entries there are"), "{screen}");
    assert!(screen.contains("Drop \"fruit\" with 3 entries? [y/N] "), "{screen}");
    assert!(screen.contains("\n3\n"), "{screen}");
    let history = std::fs::read_to_string(kv.path("state/kv/history")).unwrap();
    assert!(history.contains("get fruit apple") && !history.contains("secret"), "{history}");
    assert_eq!(kv.ok(&["count", "fruit"]), "3\n");
}
