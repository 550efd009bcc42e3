//! Damage to files at rest on a simulated disk.

use super::{
    damage::Damage,
    disk::SimDisk,
    sector::SECTOR_BYTES,
    state::{FileNode, State},
};

impl SimDisk {
    /// Damages a file at rest: what readers see, and what survives a crash. Returns `false` if
    /// there is no such file, or if the file is too short.
    pub fn damage(&self, path: &str, damage: &Damage) -> bool {
        let mut inner = self.lock();
        let node = inner.state.paths().remove(path);
        node.and_then(|node| inner.state.file_mut(node).ok()).is_some_and(|file| damage.apply(file))
    }

    /// The damage in which a sector holds its content from before its last change, as if that write
    /// had been lost. `None` if the sector never held anything else.
    pub fn stale_sector(&self, path: &str, sector: u64) -> Option<Damage> {
        let inner = self.lock();
        let mut older = find(&inner.state, path)?.older.get(&sector)?.clone();
        older.resize(SECTOR_BYTES as usize, 0);
        Some(Damage::ForeignSector(sector, older))
    }

    /// The damage in which a sector holds the content of another sector, of this or another file,
    /// as if a write or a read had been misdirected. `None` if there is no such sector.
    pub fn misdirected_sector(&self, sector: u64, from_path: &str, from_sector: u64) -> Option<Damage> {
        let inner = self.lock();
        let content = find(&inner.state, from_path)?.sector(from_sector);
        (!content.is_empty()).then_some(Damage::ForeignSector(sector, content))
    }
}

fn find<'a>(state: &'a State, path: &str) -> Option<&'a FileNode> {
    state.paths().remove(path).and_then(|node| state.file(node).ok())
}
