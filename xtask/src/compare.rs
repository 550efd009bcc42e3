//! Runs the comparison with other engines: builds it with the wanted engines, and passes the
//! arguments on. Also checks its code, which is outside of the workspace.

use std::{env, process::Command};

use crate::{
    Result,
    command::{cargo_command, run as run_command},
    metadata::{self, COMPARISON},
};

/// Engines that take minutes to build, because they contain a large C or C++ library. `--quick`
/// leaves them out, unless they are named.
const SLOW_TO_BUILD: [&str; 2] = ["rocksdb", "sqlite"];

pub fn run(arguments: &[&str]) -> Result {
    let packages = metadata::comparison()?.packages;
    let features: Vec<&str> = packages.iter().flat_map(|package| package.features.keys()).map(String::as_str).collect();
    let features = wanted(arguments, &features);
    let target = metadata::workspace()?.target_directory;
    let mut command = cargo_command();
    // Relative paths in the arguments start at the caller's directory.
    command.current_dir(env::current_dir().map_err(|error| format!("no current directory: {error}"))?);
    // SQLite's own configure script sets this, too. Without it, SQLite flushes with fsync.
    command.env("LIBSQLITE3_FLAGS", "-DHAVE_FDATASYNC=1");
    command.args(["run", "--locked", "--release", "--target-dir"]).arg(&target);
    command.arg("--manifest-path").arg(crate::root().join(metadata::manifest(COMPARISON)));
    command.args(["--features", &features.join(","), "--"]).args(arguments);
    if !arguments.iter().any(|argument| argument.starts_with("--output")) {
        command.arg("--output").arg(target.join("compare"));
    }
    run_command(&mut command).map_err(|error| match features.contains(&"rocksdb") {
        true => format!("{error}\n(RocksDB needs libclang to build, Debian's libclang-dev; --engines leaves it out)"),
        false => error,
    })
}

/// Runs the comparison's tests, without peers. One of them measures every workload on a small scale
/// and writes the report.
pub fn test() -> Result {
    run_command(&mut cargo("test", &["--locked"])?)
}

/// A cargo command on the comparison. It builds in the target directory of the workspace, whose
/// dependencies it shares.
pub fn cargo(command: &str, arguments: &[&str]) -> Result<Command> {
    let target = metadata::workspace()?.target_directory;
    let mut cargo = cargo_command();
    cargo.arg(command).arg("--manifest-path").arg(metadata::manifest(COMPARISON)).args(arguments);
    cargo.env("CARGO_TARGET_DIR", target);
    Ok(cargo)
}

/// The features of the engines that the arguments name. A feature has the name of its engine; it
/// also provides engines whose names continue with a hyphen.
fn wanted<'a>(arguments: &[&str], features: &[&'a str]) -> Vec<&'a str> {
    let engines = named_engines(arguments);
    let is_of = |feature: &str, engine: &str| {
        engine.strip_prefix(feature).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let mut features = features.to_vec();
    if arguments.iter().any(|argument| ["--help", "-h"].contains(argument)) {
        features.clear();
    } else if !engines.is_empty() {
        features.retain(|feature| engines.iter().any(|engine| is_of(feature, engine)));
    } else if arguments.contains(&"--quick") {
        features.retain(|feature| !SLOW_TO_BUILD.contains(feature));
    }
    features
}

/// The engines after each `--engines` or `--engines=`.
fn named_engines<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let lists = arguments.iter().enumerate().filter_map(|(at, argument)| match argument.strip_prefix("--engines")? {
        "" => arguments.get(at + 1).copied(),
        rest => rest.strip_prefix('='),
    });
    lists.flat_map(|list| list.split(',')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_engines_are_built() {
        let features = ["fjall", "redb", "rocksdb", "sqlite"];
        assert_eq!(wanted(&[], &features), features);
        assert_eq!(wanted(&["--quick"], &features), ["fjall", "redb"]);
        assert_eq!(wanted(&["--quick", "--engines", "kv,sqlite"], &features), ["sqlite"]);
        assert_eq!(wanted(&["--engines=redb"], &features), ["redb"]);
        assert_eq!(wanted(&["--engines", "kv,fjall-tx", "--engines", "redb"], &features), ["fjall", "redb"]);
        assert!(wanted(&["--engines", "kv,red"], &features).is_empty());
        assert!(wanted(&["--help"], &features).is_empty());
    }
}
