//! Maps, for reading and for writing.

use std::{
    path::Path,
    process::{Command, ExitStatus},
};

use kv_testkit::{
    fork,
    kernel::{bytes_in_map, changed_bytes, map_address, mapped_files, writing_calls},
};
use kv_vfs::{Access, File, OsVfs, Vfs};

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
    assert!(limited_child("maps::a_map_that_finds_no_room_names_the_limit", directory.path()).success());
}

/// Runs a test in a child process whose address space is limited to 16 GiB.
fn limited_child(test: &str, directory: &Path) -> ExitStatus {
    let test = child(test, directory);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 16777216; exec \"$@\"", "sh"]).arg(test.get_program()).args(test.get_args());
    limited.envs(test.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.status().unwrap()
}

/// Whether this process has mapped the file.
fn is_mapped(path: &Path) -> bool {
    mapped_files(path.parent().unwrap()).iter().any(|mapped| mapped == path)
}

/// Fills a file with zeroes and copies a byte to it. Returns whether a map was made for that.
fn is_copied_through_a_map(file: &dyn File, bytes: u64) -> bool {
    file.write_zeroes(0, bytes).unwrap();
    file.sync_data().unwrap();
    file.copy_at(&[0], 0).unwrap();
    is_mapped(file.path())
}

#[test]
fn what_is_copied_is_in_the_file() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    is_copied_through_a_map(&*file, 100_000);
    let (mut model, mut rng) = (vec![0; 100_000], fastrand::Rng::with_seed(5));
    for n in 0..500 {
        let (offset, longest) = (rng.usize(..100_100), if n % 10 == 0 { 40_000 } else { 300 });
        let bytes = vec![rng.u8(..); rng.usize(..longest)];
        // Some of these end behind the end of the file, or begin there: they enlarge it.
        file.copy_at(&bytes, offset as u64).unwrap();
        if !bytes.is_empty() {
            model.resize(model.len().max(offset + bytes.len()), 0);
            model[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        if n % 50 == 0 {
            file.sync_data().unwrap();
        }
    }
    file.sync_data().unwrap();
    for file in [file, vfs.open("file", Access::Read).unwrap()] {
        let mut found = vec![0; model.len()];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == model && file.len().unwrap() == model.len() as u64);
    }
}

#[test]
fn short_copies_take_no_system_call() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    let (true, Some(before)) = (is_copied_through_a_map(&*file, 100_000), writing_calls()) else {
        return; // on this file system no map is made
    };
    (0..100).for_each(|n| file.copy_at(&[1; 900], n * 900).unwrap());
    assert_eq!(writing_calls(), Some(before));
    file.copy_at(&[1; 50_000], 0).unwrap();
    assert_eq!(writing_calls(), Some(before + 1), "a long run of pages is cheaper to write by a call");
}

/// What was flushed is not written again by a later flush, even if the pages were evicted
/// meanwhile. The file is longer than what the kernel reads ahead.
#[test]
fn a_copy_changes_no_block_but_its_own() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    let (true, Some(_)) = (is_copied_through_a_map(&*file, 12 << 20), changed_bytes()) else {
        return; // on this file system no map is made
    };
    file.sync_data().unwrap();
    let in_memory = [1, 9, 100, 255];
    for block in in_memory.into_iter().chain(256..3072) {
        if block == 256 {
            file.drop_cache().unwrap(); // from now on pages come from the disk
        }
        let before = changed_bytes().unwrap();
        file.copy_at(&[1; 100], block * 4096 + 50).unwrap();
        assert_eq!(changed_bytes().unwrap() - before, 4096, "block {block}");
    }
}

/// Otherwise the kernel would take them out one by one, and interrupt every processor for each.
#[test]
fn a_flush_takes_the_pages_that_were_copied_to_out_of_the_map() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    if !is_copied_through_a_map(&*file, 12 << 20) {
        return; // on this file system no map is made
    }
    for round in 1..=3 {
        for block in [0, 7, 300, 301, 2000, 3071] {
            file.copy_at(&[round; 100], block * 4096 + 50).unwrap();
        }
        assert!(bytes_in_map(file.path()) >= 6 * 4096);
        file.sync_data().unwrap();
        assert_eq!(bytes_in_map(file.path()), 0);
    }
    let mut found = [0; 100];
    file.read_exact_at(&mut found, 3071 * 4096 + 50).unwrap();
    assert_eq!(found, [3; 100]);
}

#[test]
fn where_no_map_can_be_made_copies_are_written() {
    if let Some(directory) = child_directory() {
        let file = OsVfs::open(directory).unwrap().open("file", Access::ReadWrite).unwrap();
        file.copy_at(&[7; 100], 5000).unwrap();
        assert!(!is_mapped(file.path()));
        return;
    }
    let (directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_zeroes(0, 8192).unwrap();
    file.set_len(64 << 30).unwrap(); // too long for the limit, and takes no space on the disk
    assert!(limited_child("maps::where_no_map_can_be_made_copies_are_written", directory.path()).success());
    let mut found = [0; 102];
    file.read_exact_at(&mut found, 4999).unwrap();
    assert!(found[0] == 0 && found[1..101] == [7; 100] && found[101] == 0);
}

#[test]
fn nothing_is_copied_to_a_file_that_is_open_for_reading() {
    let (_directory, vfs) = empty();
    vfs.create("file").unwrap().write_zeroes(0, 10_000).unwrap();
    let file = vfs.open("file", Access::Read).unwrap();
    assert!(file.copy_at(&[1], 0).is_err() && !is_mapped(file.path()));
}

/// A child that outlives the process must not keep the pages of the log in memory, and must not
/// unmap what it has at that address.
#[test]
fn a_child_has_no_map_for_writing_and_ends_none() {
    let bytes = 8 << 20;
    let (_directory, vfs) = empty();
    let [file, other, filler] = ["file", "other", "filler"].map(|name| vfs.create(name).unwrap());
    other.set_len(bytes).unwrap();
    filler.set_len(bytes).unwrap();
    if !is_copied_through_a_map(&*file, bytes) {
        return; // on this file system no map is made
    }
    let address = map_address(file.path()).unwrap();
    match fork::fork() {
        None => fork::end(move || {
            assert!(!is_mapped(file.path()));
            // The place of the parent's map is free. Other gaps may come first: fill them.
            let mut fillers = Vec::new();
            let map = loop {
                let map = other.map().unwrap();
                if map.as_ptr().addr() == address {
                    break map;
                }
                drop(map);
                fillers.push(filler.map().unwrap());
                assert!(fillers.len() < 1000, "nothing is mapped where the parent has its map");
            };
            assert!(map.iter().step_by(4096).all(|byte| *byte == 0));
            let there = bytes_in_map(other.path());
            file.sync_data().unwrap();
            assert_eq!(bytes_in_map(other.path()), there, "a flush has released what is not its own");
            drop(file);
            assert!(map.iter().step_by(4096).all(|byte| *byte == 0));
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    file.copy_at(&[7; 100], 0).unwrap();
}
