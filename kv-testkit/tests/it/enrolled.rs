use std::{collections::BTreeSet, fs, path::Path};

/// The identifiers after `before` in a text.
fn names_after<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let name = |rest: &'a str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
    text.split(before).skip(1).filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// A case must be in exactly one suite, and must find a flaw.
fn assert_all_enrolled(suite: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let macros = fs::read_to_string(source.join(format!("{suite}.rs"))).unwrap();
    let lists: Vec<_> =
        macros.split(&format!("$make, {suite}, [")).skip(1).map(|list| list.split(']').next().unwrap()).collect();
    let enrolled: Vec<_> =
        lists.iter().flat_map(|list| list.split(',').map(str::trim)).filter(|n| !n.is_empty()).collect();

    let files = fs::read_dir(source.join(suite).join("cases")).unwrap();
    let cases: String = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let cases = names_after(&cases, "\npub fn ");
    assert!(cases.len() > 20, "the cases were not found");
    assert_eq!(enrolled.iter().copied().collect::<BTreeSet<_>>(), cases);
    assert_eq!(enrolled.len(), cases.len(), "a case is in two suites");

    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/flawed_{suite}.rs"));
    let tables = fs::read_to_string(tables).unwrap();
    let words: BTreeSet<_> = tables.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let untested: Vec<_> = cases.difference(&words).collect();
    assert!(untested.is_empty(), "no flaw shows that these cases can fail: {untested:?}");
}

#[test]
fn each_case_of_a_log_is_in_a_suite_and_finds_a_flaw() {
    assert_all_enrolled("log");
}

#[test]
fn each_case_of_a_checkpointer_is_in_a_suite_and_finds_a_flaw() {
    assert_all_enrolled("checkpointer");
}
