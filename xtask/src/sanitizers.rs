//! Builds with LLVM's sanitizers, on the stable toolchain.

use std::{path::PathBuf, process::Command};

use crate::{
    Result,
    command::{cargo_command, output},
    metadata,
};

/// A build with unstable flags of the compiler. It has a target directory of its own, and names the
/// host as its target, so that the flags do not reach build scripts.
pub struct Build {
    host: String,
    directory: PathBuf,
}

impl Build {
    /// A build in the folder `name` of cargo's target directory.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self { host: metadata::host()?, directory: metadata::workspace()?.target_directory.join(name) })
    }

    /// Its target directory.
    pub fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// The directory of the binaries of a release build.
    pub fn binaries(&self) -> PathBuf {
        self.directory.join(&self.host).join("release")
    }

    /// A cargo command that builds with these flags of rustc.
    pub fn cargo(&self, command: &str, flags: &[&str]) -> Command {
        let mut cargo = cargo_command();
        cargo.args([command, "--locked", "--target", &self.host, "--target-dir"]).arg(&self.directory);
        cargo.env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", flags.join(" "));
        cargo
    }

    /// Whether the compiler has the runtime of AddressSanitizer for this machine.
    pub fn has_address_sanitizer(&self) -> Result<bool> {
        let libraries = output(metadata::rustc().args(["--print", "target-libdir", "--target", &self.host]))?;
        let libraries = PathBuf::from(String::from_utf8_lossy(&libraries).trim());
        Ok(libraries.join("librustc-stable_rt.asan.a").exists()
            || libraries.join("librustc-nightly_rt.asan.a").exists())
    }
}
