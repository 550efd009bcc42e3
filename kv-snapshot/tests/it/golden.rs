use kv_core::Checkpointer;
use kv_snapshot::{MmapCheckpointer, dump};
use kv_testkit::vfs::{Kind, TestVfs};
use tempfile::TempDir;

use crate::support::{State, test_vfs};

fn small() -> State {
    let mut state = State::default();
    state.put(1, b"user:1", b"Ada");
    state.put(1, b"user:2", b"");
    state.put(1, b"user:20", &[0, 1, 254, 255]);
    state.put(2, b"\x00\xff", &[b'x'; 40]);
    state.create(3);
    for n in 0..40 {
        state.put(4, format!("key {n:03}").as_bytes(), format!("value {n}").as_bytes());
    }
    state
}

fn dumped(vfs: &TestVfs, name: &str) -> String {
    let mut text = Vec::new();
    dump(vfs, name, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Lines of 16 bytes, with runs of equal lines shortened. Any change of the format shows.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut last: &[u8] = &[];
    for (number, line) in bytes.chunks(16).enumerate() {
        if line != last {
            let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            text += &format!("{:06x}  {}  {}\n", number * 16, hex.join(" "), line.escape_ascii());
        }
        last = line;
    }
    text
}

#[test]
fn format_of_a_checkpoint() {
    let directory = TempDir::new().unwrap();
    let vfs = test_vfs(directory.path());
    let checkpointer = MmapCheckpointer::open(vfs.clone()).unwrap();
    let mut state = small();
    let first = checkpointer.write(None, &mut state.take()).unwrap();
    state.put(1, b"user:3", b"Grace");
    state.delete(1, b"user:20");
    checkpointer.write(Some(first.id()), &mut state.take()).unwrap();

    let mut names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    insta::assert_debug_snapshot!("names", names);
    insta::assert_snapshot!("part_text", dumped(&vfs, "0000000000000002.part"));
    let manifest = "0000000000000007-000000000000002e-0000000000000002.manifest";
    insta::assert_snapshot!("manifest_text", dumped(&vfs, manifest));
    let bytes = |name: &str| hex(&std::fs::read(directory.path().join(name)).unwrap());
    insta::assert_snapshot!("part_bytes", bytes("0000000000000002.part"));
    insta::assert_snapshot!("manifest_bytes", bytes(manifest));
}

/// Every operation of a write on the disk, in order: a missing or an additional sync shows.
#[test]
fn operations_of_a_write() {
    let directory = TempDir::new().unwrap();
    let vfs = test_vfs(directory.path());
    let checkpointer = MmapCheckpointer::open(vfs.clone()).unwrap();
    let mut state = small();
    let first = checkpointer.write(None, &mut state.take()).unwrap().id();
    state.put(1, b"a", b"b");
    let newer = checkpointer.write(Some(first), &mut state.take()).unwrap().id();
    state.put(1, b"a", b"c");
    vfs.take_trace();
    let drops_before = vfs.count(Kind::DropCache);
    let third = checkpointer.write(Some(first), &mut state.take()).unwrap().id();
    insta::assert_snapshot!("write_with_one_set_aside", vfs.take_trace());
    assert_eq!(vfs.count(Kind::DropCache) - drops_before, 2, "part and manifest are read back from the disk");
    assert_eq!(checkpointer.list().unwrap(), [third, first]);
    vfs.take_trace();
    checkpointer.remove(first).unwrap();
    insta::assert_snapshot!("remove", vfs.take_trace());
    assert!(newer < third);
}
