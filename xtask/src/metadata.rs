//! What cargo knows about the workspace.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

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

/// The comparison with other engines: a workspace of its own, with its own lock file.
pub const COMPARISON: &str = "kv-compare";

/// The folders of the two workspaces, relative to the root: that of the engine, and the comparison.
pub const WORKSPACES: [&str; 2] = ["", COMPARISON];

/// Only the crates of the workspace.
pub fn workspace() -> Result<Metadata> {
    metadata(WORKSPACES[0], &["--no-deps", "--offline"])
}

/// Only the comparison.
pub fn comparison() -> Result<Metadata> {
    metadata(COMPARISON, &["--no-deps", "--offline"])
}

/// All crates of this project, in both workspaces.
pub fn own_packages() -> Result<Vec<Package>> {
    let mut packages = workspace()?.packages;
    packages.extend(comparison()?.packages);
    Ok(packages)
}

/// The crates of a workspace and all that they need on this machine, as its Cargo.lock says. Fails
/// if the Cargo.lock is not current.
pub fn everything(workspace: &str) -> Result<Metadata> {
    metadata(workspace, &["--locked", "--filter-platform", &host()?])
}

/// The manifest of a workspace, relative to the root.
pub fn manifest(workspace: &str) -> PathBuf {
    Path::new(workspace).join("Cargo.toml")
}

/// rustc's name of this machine's platform.
pub fn host() -> Result<String> {
    let verbose_version = output(rustc().arg("-vV"))?;
    let host = String::from_utf8_lossy(&verbose_version)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned));
    host.ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn metadata(workspace: &str, arguments: &[&str]) -> Result<Metadata> {
    let mut command = cargo_command();
    command.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(manifest(workspace));
    let json = output(command.args(arguments))?;
    serde_json::from_slice(&json).map_err(|error| format!("cannot understand cargo metadata: {error}"))
}

/// The compiler that cargo uses.
pub fn rustc() -> std::process::Command {
    std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}
