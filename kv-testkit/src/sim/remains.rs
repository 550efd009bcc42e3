//! What a power cut may leave of single sectors, from the disk's own record of unsynced writes.

use std::{collections::BTreeMap, ops::Range};

use super::{
    disk::SimDisk,
    sector::{self, SECTOR_BYTES},
    state::{FileChange, FileChangeKind, FileNode},
};

/// The maximum number of whole states reported per sector. If there are more, only states that keep
/// every earlier write are added.
const WHOLE_MAX: usize = 256;

/// What a power cut may leave of a sector, on the weakest disk that POSIX allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// The sector as it was synced, and as each later write may have left it; the oldest first.
    pub whole: Vec<Vec<u8>>,
    /// Mixes of two of these: each later write cut off in the middle, and each with only a range of
    /// its bytes. None is equal to a whole state.
    pub torn: Vec<Vec<u8>>,
}

impl SimDisk {
    /// The sectors of a file that have unsynced writes, and what a power cut may leave of each. It
    /// may leave any of these states of each sector, independently of the others. Empty if there is
    /// no such file, or if nothing of it can be lost.
    ///
    /// The file's length is assumed to survive. The states that [`crash`](SimDisk::crash) gives
    /// include those where it does not, and the outcomes of the file's name.
    ///
    /// ```
    /// use kv_testkit::sim::SimDisk;
    ///
    /// let disk = SimDisk::new(1);
    /// let file = disk.vfs().create("mark")?;
    /// file.write_all_at(&[0; 1024], 0)?;
    /// file.sync_data()?;
    /// assert!(disk.remains("mark").is_empty());
    /// file.write_all_at(b"one", 512)?;
    /// file.write_all_at(b"two", 512)?;
    /// let whole = &disk.remains("mark")[&1].whole;
    /// assert_eq!(whole.iter().map(|sector| &sector[..3]).collect::<Vec<_>>(), [b"\0\0\0", b"one", b"two"]);
    /// # Ok::<(), kv_vfs::Error>(())
    /// ```
    pub fn remains(&self, path: &str) -> BTreeMap<u64, Remains> {
        let inner = self.lock();
        let node = inner.state.paths().remove(path);
        let file = node.and_then(|node| inner.state.file(node).ok());
        file.map(of).unwrap_or_default()
    }
}

fn of(file: &FileNode) -> BTreeMap<u64, Remains> {
    let mut sectors: BTreeMap<u64, Remains> = BTreeMap::new();
    for FileChange { kind, .. } in &file.pending {
        let FileChangeKind::Write { offset, bytes, .. } = kind else { continue };
        for (_, range) in sector::split(*offset, bytes.len()) {
            let at = offset + range.start as u64;
            let sector = at / SECTOR_BYTES;
            let remains = sectors.entry(sector).or_insert_with(|| Remains::synced(file, sector));
            remains.write(&bytes[range], (at % SECTOR_BYTES) as usize);
        }
    }
    sectors.retain(|_, remains| remains.whole.len() > 1);
    sectors
}

impl Remains {
    fn synced(file: &FileNode, sector: u64) -> Self {
        let at = sector * SECTOR_BYTES;
        let mut bytes = vec![0; file.seen.len().saturating_sub(at).min(SECTOR_BYTES) as usize];
        file.durable.read(&mut bytes, at);
        Self { whole: vec![bytes], torn: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = |sector: &Vec<u8>| sector.len().min(at + bytes.len());
        let mut after: Vec<_> = self.whole.clone();
        let mut torn = Vec::new();
        for (number, sector) in after.iter_mut().enumerate() {
            let before = sector.clone();
            let to = end(sector);
            sector[at..to].copy_from_slice(&bytes[..to - at]);
            // A sector is torn between two consecutive states, or over the oldest one, which may
            // still be on the disk.
            if number == 0 || number == self.whole.len() - 1 {
                torn.extend(mixes(&before, sector));
            }
        }
        if self.whole.len() >= WHOLE_MAX {
            after.drain(..after.len() - 1);
        }
        after.into_iter().for_each(|sector| push_new(&mut self.whole, sector));
        torn.into_iter().for_each(|sector| push_new(&mut self.torn, sector));
        self.torn.retain(|torn| !self.whole.contains(torn));
    }
}

fn push_new(all: &mut Vec<Vec<u8>>, sector: Vec<u8>) {
    if !all.contains(&sector) {
        all.push(sector);
    }
}

/// The old sector with a part of the new one: its first bytes, or a range in its middle.
fn mixes(old: &[u8], new: &[u8]) -> Vec<Vec<u8>> {
    let differs = |at: &usize| old[*at] != new[*at];
    let (Some(first), Some(last)) = ((0..new.len()).find(differs), (0..new.len()).rfind(differs)) else {
        return Vec::new();
    };
    let len = last + 1 - first;
    let ranges: [Range<usize>; 4] =
        [first..first + 1, first..first + len / 2, first..last, first + len / 4..last + 1 - len / 4];
    let mix = |range: Range<usize>| {
        let mut mixed = old.to_vec();
        mixed[range.clone()].copy_from_slice(&new[range]);
        mixed
    };
    ranges.into_iter().map(mix).filter(|mixed| mixed != old && mixed != new).collect()
}

#[cfg(test)]
mod tests {
    use crate::sim::{CrashChoice, CrashModel, SimDisk, Survivors};

    /// The reported states are those that crashes leave, and every whole state is left by some
    /// crash.
    #[test]
    fn what_remains_is_what_power_cuts_leave() {
        let disk = SimDisk::new(1);
        let file = disk.vfs().create("mark").unwrap();
        file.write_all_at(&[0; 1024], 0).unwrap();
        file.sync_data().unwrap();
        disk.vfs().sync_directory().unwrap();
        for number in 1..5_u8 {
            file.write_all_at(&[number; 100], u64::from(number % 2) * 512).unwrap();
        }
        let remains = disk.remains("mark");
        assert_eq!(remains.keys().copied().collect::<Vec<_>>(), [0, 1]);
        let mut left = [Vec::new(), Vec::new()];
        for choice in disk.crash_states(CrashModel::Posix, 100, 0) {
            let bytes = disk.crash(&choice).files().remove("mark").unwrap();
            for (at, seen) in left.iter_mut().enumerate() {
                seen.push(bytes[at * 512..][..512].to_vec());
            }
        }
        for (at, remains) in remains {
            assert_eq!(remains.whole.len(), 3);
            assert!(remains.whole.iter().all(|whole| left[at as usize].contains(whole)));
            assert!(!remains.torn.is_empty() && remains.torn.iter().all(|torn| !remains.whole.contains(torn)));
            let is_mix =
                |torn: &Vec<u8>| (0..512).all(|byte| remains.whole.iter().any(|whole| whole[byte] == torn[byte]));
            assert!(remains.torn.iter().all(is_mix));
        }
        file.sync_data().unwrap();
        assert!(disk.remains("mark").is_empty());
        assert!(disk.remains("absent").is_empty());
        let kept = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
        assert_eq!(kept.files()["mark"][0], 4);
    }

    /// Writes to different parts of a sector survive in every combination.
    #[test]
    fn parts_of_a_sector_survive_independently() {
        let disk = SimDisk::new(1);
        let file = disk.vfs().create("mark").unwrap();
        file.write_all_at(&[0; 512], 0).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(b"1", 0).unwrap();
        file.write_all_at(b"2", 100).unwrap();
        let remains = disk.remains("mark");
        let whole: Vec<_> = remains[&0].whole.iter().map(|sector| (sector[0], sector[100])).collect();
        assert_eq!(whole, [(0, 0), (b'1', 0), (0, b'2'), (b'1', b'2')]);
    }
}
