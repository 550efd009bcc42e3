//! Telling disks apart by what readers see of them.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::state::{ROOT, State};

impl State {
    /// The names and the content of all files, as one number: equal where they are equal, and almost surely different where they are not.
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
