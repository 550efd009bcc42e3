//! Finds out whether a file system overwrites files in place, and asks btrfs to do so.
//!
//! A file system that copies on write takes new space for every write, even over bytes that the
//! file already has. Zeroes written ahead then reserve nothing: on a full disk a write may fail
//! although space seemed to be reserved for it. btrfs overwrites in place if a file has the
//! attribute NOCOW, which new files inherit from their directory.

use std::os::fd::AsFd;

use rustix::{
    fs::{FsWord, IFlags, fstatfs, ioctl_getflags, ioctl_setflags},
    io::Result,
};

const EXT4: FsWord = 0xEF53;
const XFS: FsWord = 0x5846_5342;
const BTRFS: FsWord = 0x9123_683E;
/// An overlay does not say which file system is below it. It passes attributes on.
const OVERLAY: FsWord = 0x794C_7630;
const ZFS: FsWord = 0x2FC1_2FC1;
const BCACHEFS: FsWord = 0xCA45_1A4E;
const NILFS: FsWord = 0x3434;

/// `FS_NOCOMP_FL`: the file must not be compressed.
const NOT_COMPRESSED: IFlags = IFlags::from_bits_retain(0x400);

/// Asks that files created in the directory from now on are overwritten in place.
pub(crate) fn request(directory: impl AsFd) -> Result<()> {
    if !matches!(fstatfs(&directory)?.f_type, BTRFS | OVERLAY) {
        return Ok(());
    }
    let flags = ioctl_getflags(&directory)?;
    if flags.contains(IFlags::NOCOW) {
        return Ok(());
    }
    // A file cannot have NOCOW together with an attribute about compression, and one call cannot
    // replace the one by the other.
    let other = flags - IFlags::COMPRESSED - NOT_COMPRESSED;
    if other != flags {
        ioctl_setflags(&directory, other)?;
    }
    ioctl_setflags(&directory, other | IFlags::NOCOW)
}

/// Whether a file is overwritten in place.
pub(crate) fn is_granted(file: impl AsFd) -> Result<bool> {
    Ok(match fstatfs(&file)?.f_type {
        BTRFS => ioctl_getflags(&file)?.contains(IFlags::NOCOW),
        ZFS | BCACHEFS | NILFS => false,
        _ => true,
    })
}

/// Whether it is certain that bytes that were written before, and space that was reserved, are
/// overwritten without new space. Only then may a map be used, which cannot report that there is
/// none. Other file systems only extend a file where they are asked to reserve space for it, and an
/// overlay does not say what is below it.
pub(crate) fn is_certain(file: impl AsFd) -> Result<bool> {
    Ok(matches!(fstatfs(&file)?.f_type, EXT4 | XFS))
}
