//! Builds and runs tests of the copied workspace.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use serde::Deserialize;

use super::{
    libtest::{self, Outcome, Report},
    selection::Selection,
    workspace::WorkspaceCopy,
};
use crate::{Result, command::cargo_command, loom};

/// How many states each exploration of crashes tries: fewer than in the tests themselves, but
/// enough for these bugs.
const CRASH_STATES: &str = "2000";

/// Where tests are built and run.
pub struct Testing {
    pub sources: WorkspaceCopy,
    /// The target directory. It is kept from one run to the next, so that only changes are built.
    pub target: PathBuf,
}

/// A message of cargo. Only an artifact has an executable.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

impl Testing {
    /// Builds and runs tests, up to the first that fails.
    pub fn test(&self, selection: &Selection, limit: Duration) -> Result<Report> {
        let report = self.test_with(selection, &[], limit)?;
        match report.outcome {
            Outcome::Died(..) => self.test_with(selection, &["--test-threads=1"], limit), // to learn in which test
            _ => Ok(report),
        }
    }

    /// With options of the test harness.
    pub fn test_with(&self, selection: &Selection, options: &[&str], limit: Duration) -> Result<Report> {
        let binary = self.build(selection)?;
        let package = self.sources.root().join(&selection.package);
        let mut command = Command::new(binary);
        command.args(&selection.filters).args(options).current_dir(&package).env("CARGO_MANIFEST_DIR", &package);
        command.env("KV_CRASH_STATES", CRASH_STATES).env_remove("KV_CRASH_SEED").env_remove("KV_CRASH_REPLAY");
        command.env("INSTA_UPDATE", "no").env_remove("INSTA_FORCE_PASS");
        libtest::run(&mut command, limit)
    }

    /// Builds a test binary and returns its path.
    fn build(&self, selection: &Selection) -> Result<PathBuf> {
        let mut cargo = cargo_command();
        cargo.args(["test", "--locked", "--no-run", "--message-format", "json-render-diagnostics", "--package"]);
        cargo.arg(&selection.package);
        match selection.target.as_str() {
            "lib" | "lib-loom" => cargo.arg("--lib"),
            name => cargo.args(["--test", name]),
        };
        if selection.is_under_loom() {
            cargo.args(["--profile", "loom"]).env("RUSTFLAGS", loom::flags());
        }
        let target = if selection.is_under_loom() { self.target.join("loom") } else { self.target.clone() };
        cargo.current_dir(self.sources.root()).env("CARGO_TARGET_DIR", target);
        // These builds are frequent, and need neither debug information nor optimisation.
        cargo.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        let manifest = fs::read_to_string(self.sources.root().join("Cargo.toml"));
        let manifest = manifest.map_err(|error| format!("cannot read the manifest: {error}"))?;
        for package in optimised(&manifest)? {
            cargo.arg("--config").arg(format!("profile.dev.package.{package}.opt-level=0"));
        }
        let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!("{selection} does not build:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let mut binaries = messages.filter_map(|message| serde_json::from_slice::<Message>(message).ok()?.executable);
        binaries.next_back().ok_or_else(|| format!("cargo names no test binary of {selection}"))
    }
}

/// The packages of the workspace that its manifest has built with some optimisation for their
/// tests.
fn optimised(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table =
        toml::from_str(manifest).map_err(|error| format!("cannot understand the manifest: {error}"))?;
    let profile = ["profile", "dev", "package"].iter().try_fold(&manifest, |table, key| table.get(*key)?.as_table());
    let packages = profile.into_iter().flat_map(toml::Table::keys);
    Ok(packages.filter(|name| name.starts_with("kv-")).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimised_packages_are_those_of_the_manifest() {
        let manifest = "[profile.dev.package.other]\nopt-level = 3\n[profile.dev.package.kv-core]\nopt-level = 1\n";
        assert_eq!(optimised(manifest).unwrap(), ["kv-core"]);
        assert_eq!(optimised("[profile.release]\n").unwrap(), [""; 0]);
        let manifest = fs::read_to_string(crate::root().join("Cargo.toml")).unwrap();
        assert!(!optimised(&manifest).unwrap().is_empty());
    }
}
