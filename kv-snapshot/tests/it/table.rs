use kv_core::{Cursor, Error};
use kv_snapshot::{Table, TableWriter, dump};
use kv_vfs::OsVfs;
use tempfile::TempDir;

fn pairs(mut cursor: impl Cursor) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    while cursor.advance().unwrap() {
        pairs.push((cursor.key().to_vec(), cursor.value().to_vec()));
    }
    pairs
}

#[test]
fn holds_what_was_inserted() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut writer = TableWriter::create(vfs.clone(), "table").unwrap();
    let expected: Vec<_> = (0..1000u32).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; n as usize % 50])).collect();
    for (key, value) in &expected {
        writer.insert(key, value).unwrap();
    }
    assert!(!directory.path().join("table").exists(), "not before it is finished");
    let table = writer.finish().unwrap();
    assert_eq!((table.len(), table.is_empty()), (1000, false));
    assert_eq!(pairs(table.range(..).unwrap()), expected);
    let (from, to) = (500u32.to_be_bytes(), 510u32.to_be_bytes());
    assert_eq!(pairs(table.range(&from[..]..&to[..]).unwrap()), expected[500..510]);
    assert_eq!(pairs(table.range(&from[..]..=&to[..]).unwrap()), expected[500..=510]);
    assert_eq!(pairs(table.range(&to[..]..&from[..]).unwrap()), []);
    assert_eq!(table.get_with(&from, <[u8]>::len).unwrap(), Some(0));
    assert_eq!(table.get_with(b"absent", <[u8]>::len).unwrap(), None);
    table.verify().unwrap();
    let value = table.get(&7u32.to_be_bytes()).unwrap().unwrap();
    drop(table);
    assert_eq!(value, [7; 7], "a value outlives its table");
}

#[test]
fn may_be_empty() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    TableWriter::create(vfs.clone(), "table").unwrap().finish().unwrap();
    let table = Table::open(&*vfs, "table").unwrap();
    assert!(table.is_empty() && table.get(b"key").unwrap().is_none());
    assert_eq!(pairs(table.range(&b"a"[..]..).unwrap()), []);
    table.verify().unwrap();
}

#[test]
fn refuses_what_it_cannot_hold_and_goes_on() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let mut writer = TableWriter::create(vfs, "table").unwrap();
    writer.insert(b"b", b"1").unwrap();
    assert!(matches!(writer.insert(b"b", b"2"), Err(Error::Misuse(_))));
    assert!(matches!(writer.insert(b"a", b"2"), Err(Error::Misuse(_))));
    assert!(matches!(writer.insert(b"", b"2"), Err(Error::InvalidKey { len: 0, .. })));
    assert!(matches!(writer.insert(&[255; 65_536], b"2"), Err(Error::InvalidKey { len: 65_536, .. })));
    writer.insert(b"c", b"3").unwrap();
    let table = writer.finish().unwrap();
    let expected = [(b"b".to_vec(), b"1".to_vec()), (b"c".to_vec(), b"3".to_vec())];
    assert_eq!(pairs(table.range(..).unwrap()), expected);
}

#[test]
fn a_dropped_writer_leaves_nothing_and_a_finished_one_replaces() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    drop(TableWriter::create(vfs.clone(), "table").unwrap());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    std::fs::write(directory.path().join("table.tmp"), "left by a killed writer").unwrap();
    let old = TableWriter::create(vfs.clone(), "table").unwrap().finish().unwrap();
    let mut writer = TableWriter::create(vfs.clone(), "table").unwrap();
    writer.insert(b"key", b"new").unwrap();
    writer.finish().unwrap();
    assert_eq!(Table::open(&*vfs, "table").unwrap().len(), 1);
    assert!(old.get(b"key").unwrap().is_none(), "an open table stays the old one");
}

#[test]
fn a_file_that_is_not_a_table_is_damaged() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    std::fs::write(directory.path().join("text"), "some text").unwrap();
    assert!(
        matches!(Table::open(&*vfs, "text"), Err(Error::Corrupt { place, .. }) if place.path().unwrap().ends_with("text"))
    );
}

#[test]
fn a_missing_file_is_not_damaged_and_the_error_names_it_and_says_what_to_do() {
    let directory = TempDir::new().unwrap();
    let vfs = OsVfs::open(directory.path()).unwrap();
    let manifest = "0000000000000001-0000000000000001-0000000000000001.manifest";
    for (name, error) in [
        ("table", Table::open(&*vfs, "table").map(drop).unwrap_err()),
        ("table", dump(&*vfs, "table", &mut std::io::sink()).unwrap_err()),
        (manifest, dump(&*vfs, manifest, &mut std::io::sink()).unwrap_err()),
    ] {
        let path = directory.path().join(name);
        let advice = "there is no such file; check the name and the directory";
        assert_eq!(error.chain(), format!("cannot open {}: {advice}", path.display()));
        let Error::Io { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    }
}
