//! Checks the source and the licence of every package, without other tools.

use std::{collections::BTreeSet, fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Result, licence,
    metadata::{self, Package, WORKSPACES},
};

/// The parts of deny.toml that this module checks.
#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// Absent for the crates of this project.
    source: Option<String>,
}

/// Checks that each Cargo.lock fits its Cargo.toml files.
pub fn check_lock() -> Result {
    WORKSPACES.into_iter().try_for_each(|workspace| metadata::everything(workspace).map(drop))
}

/// Checks that every package in either Cargo.lock, for every platform, comes from cargo's own
/// registry or is one of this project: no crate of the project names another registry, and no
/// Cargo.lock has a package from a second one.
pub fn check_sources() -> Result {
    let own = metadata::own_packages()?;
    let named = own.iter().flat_map(|package| {
        let named = package.dependencies.iter().filter(|dependency| dependency.registry.is_some());
        named.map(|dependency| format!("{} takes {} from a registry of its own", package.name, dependency.name))
    });
    let mut locked = Vec::new();
    for workspace in WORKSPACES {
        locked.extend(read::<Lock>(&Path::new(workspace).join("Cargo.lock"))?.package);
    }
    let registry = locked.iter().find_map(|package| package.source.as_deref()).unwrap_or_default();
    let foreign = locked.iter().filter(|package| match &package.source {
        Some(source) => source != registry || !source.starts_with("registry+"),
        None => !own.iter().any(|own| own.name == package.name),
    });
    let foreign = foreign.map(|Locked { name, version, source }| {
        let source = source.as_deref().unwrap_or("a path outside this project");
        format!("{name} {version} comes from {source}")
    });
    none_of(named.chain(foreign))
}

/// Checks that every package that is needed on this platform has licences that deny.toml allows.
pub fn check_licences() -> Result {
    let allowed = read::<Deny>(Path::new("deny.toml"))?.licenses.allow;
    let mut packages = Vec::new();
    for workspace in WORKSPACES {
        packages.extend(metadata::everything(workspace)?.packages);
    }
    let refused: BTreeSet<String> = packages.iter().filter_map(|package| refusal(package, &allowed)).collect();
    none_of(refused.into_iter())
}

fn refusal(package: &Package, allowed: &[String]) -> Option<String> {
    let Package { name, version, license, .. } = package;
    let Some(expression) = license else {
        return Some(format!("{name} {version} states no licence"));
    };
    match licence::is_satisfied(expression, allowed) {
        Ok(true) => None,
        Ok(false) => {
            Some(format!("{name} {version} has the licence {expression}, which [licenses] in deny.toml does not allow"))
        }
        Err(error) => Some(format!("{name} {version}: {error}")),
    }
}

/// An error with a line for each complaint, if there are any.
fn none_of(complaints: impl Iterator<Item = String>) -> Result {
    let complaints: Vec<String> = complaints.collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let name = file.display();
    let text = fs::read_to_string(crate::root().join(file)).map_err(|error| format!("cannot read {name}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("cannot understand {name}: {error}"))
}
