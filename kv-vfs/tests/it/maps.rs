//! Read-only maps.

use kv_vfs::Vfs;

use crate::empty;

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
