//! The space of a file system, and how it overwrites.

use std::process::Command;

use kv_vfs::Vfs;

use crate::empty;

#[test]
fn space_is_counted_in_bytes() {
    let (directory, vfs) = empty();
    let space = vfs.space().unwrap();
    assert!(space.free <= space.total);
    let told = Command::new("stat").args(["-f", "-c", "%b %S"]).arg(directory.path()).output().unwrap().stdout;
    let told: Vec<u64> =
        String::from_utf8(told).unwrap().split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(space.total, told[0] * told[1]);
}

#[test]
fn a_request_to_overwrite_in_place_may_be_declined_and_does_no_harm() {
    let (directory, vfs) = empty();
    vfs.request_overwriting_in_place();
    let file = vfs.create("file").unwrap();
    file.write_all_at(b"bytes", 0).unwrap();
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(directory.path()).output().unwrap().stdout;
    let kind = String::from_utf8(kind).unwrap();
    if ["ext2/ext3", "xfs", "tmpfs", "btrfs"].contains(&kind.trim()) {
        assert!(file.is_overwritten_in_place(), "{kind}");
    }
}
