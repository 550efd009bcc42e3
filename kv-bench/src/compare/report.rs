//! Files that people look at.
use std::{fs, path::Path};

use super::{engine::Result, summary::Summary};

/// Writes them.
pub fn write(summary: &Summary, directory: &Path) -> Result {
    Ok(fs::write(directory.join("compare.json"), serde_json::to_string_pretty(summary)?)?)
}
