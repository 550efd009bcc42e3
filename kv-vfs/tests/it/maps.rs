//! Read-only maps.

use kv_vfs::{Access, OsVfs, Vfs};

use crate::{child, child_directory, empty};

#[test]
fn a_map_shows_the_whole_file() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    assert!(file.map().unwrap().is_empty(), "an empty file has an empty map");
    let written: Vec<u8> = (0..10_001_u32).map(|i| (i % 251) as u8).collect();
    file.write_all_at(&written, 0).unwrap();
    assert!(file.map().unwrap() == written);
}

#[test]
fn a_map_outlives_its_file_its_directory_and_its_first_handle() {
    let (directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_all_at(&[7; 20_000], 0).unwrap();
    let map = file.map().unwrap();
    vfs.remove("file").unwrap();
    drop((file, vfs, directory));
    let part = map.slice(15_000..);
    drop(map);
    assert!(part.len() == 5_000 && part.iter().all(|&byte| byte == 7));
}

#[test]
fn a_map_that_finds_no_room_names_the_limit() {
    if let Some(directory) = child_directory() {
        let error = OsVfs::open(directory).unwrap().open("file", Access::Read).unwrap().map().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
        assert!(error.source.to_string().contains("ulimit -v"), "{error:?}");
        return;
    }
    let (directory, vfs) = empty();
    vfs.create("file").unwrap().set_len(64 << 30).unwrap(); // takes no space on the disk
    let test = child("maps::a_map_that_finds_no_room_names_the_limit", directory.path());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -v 16777216; exec \"$@\"", "sh"]).arg(test.get_program()).args(test.get_args());
    limited.envs(test.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(limited.status().unwrap().success());
}
