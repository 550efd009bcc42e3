//! What cargo knows about the workspace.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use crate::{
    Result,
    command::{cargo_command, output},
};

#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    /// The directory in which cargo builds, as the environment and the configuration set it.
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub license: Option<String>,
    pub dependencies: Vec<Dependency>,
    /// The names of its features, and what each enables.
    pub features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
pub struct Dependency {
    pub name: String,
    pub kind: Option<Kind>,
    /// The registry, if it is not cargo's own.
    pub registry: Option<String>,
    /// The path of a crate of the workspace.
    pub path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Build,
    Dev,
}

/// Only the crates of the workspace.
pub fn workspace() -> Result<Metadata> {
    metadata(&["--no-deps", "--offline"])
}

/// The crates of the workspace and all that they need on this machine, by Cargo.lock. An error if
/// Cargo.lock is not current.
pub fn everything() -> Result<Metadata> {
    metadata(&["--locked", "--filter-platform", &host()?])
}

/// rustc's name of this machine's platform.
pub fn host() -> Result<String> {
    let verbose_version = output(rustc().arg("-vV"))?;
    let host = String::from_utf8_lossy(&verbose_version)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned));
    host.ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn metadata(arguments: &[&str]) -> Result<Metadata> {
    let json = output(cargo_command().args(["metadata", "--format-version", "1"]).args(arguments))?;
    serde_json::from_slice(&json).map_err(|error| format!("cannot understand cargo metadata: {error}"))
}

/// The compiler that cargo uses.
pub fn rustc() -> std::process::Command {
    std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}
