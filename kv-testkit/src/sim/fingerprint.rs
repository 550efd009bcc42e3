//! Telling disks apart by what readers see of them.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::state::{ROOT, State};

impl State {
    /// One number for the names and contents of all files: equal if these are equal, and almost
    /// certainly different otherwise.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut directories = vec![ROOT];
        while let Some(node) = directories.pop() {
            let Ok(directory) = self.directory(node) else { continue };
            directory.seen.len().hash(&mut hasher);
            for (name, node) in &directory.seen {
                name.hash(&mut hasher);
                match self.file(*node) {
                    Ok(file) => file.seen.hash(&mut hasher),
                    Err(_) => directories.push(*node),
                }
            }
        }
        hasher.finish()
    }
}
