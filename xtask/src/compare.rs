//! Running the comparison with other engines: builds it with those that are wanted, and hands the arguments on.

use std::env;

use crate::{
    Result,
    command::{cargo_command, run as run_command},
    metadata,
};

/// Engines that take minutes to build, as they bring a large C or C++ library: `--quick` leaves them out unless they are named.
const SLOW_TO_BUILD: [&str; 2] = ["rocksdb", "sqlite"];

pub fn run(arguments: &[&str]) -> Result {
    let workspace = metadata::workspace()?;
    let package = workspace.packages.iter().find(|package| package.name == "kv-bench");
    let features: Vec<&str> = package.iter().flat_map(|package| package.features.keys()).map(String::as_str).collect();
    let features = wanted(arguments, &features).join(",");
    let mut command = cargo_command();
    // Where the caller is: files that are named are meant from there.
    command.current_dir(env::current_dir().map_err(|error| format!("no current directory: {error}"))?);
    // As its own configure script and every distribution build it: otherwise SQLite flushes with fsync.
    command.env("LIBSQLITE3_FLAGS", "-DHAVE_FDATASYNC=1");
    command.args(["run", "--locked", "--release", "--package", "kv-bench", "--bin", "compare"]);
    command.arg("--manifest-path").arg(crate::root().join("Cargo.toml"));
    command.args(["--features", &features, "--", "--output"]).arg(workspace.target_directory.join("compare"));
    run_command(command.args(arguments))
}

/// The features of the engines that the arguments want: each is named as its engine.
fn wanted<'a>(arguments: &[&str], features: &[&'a str]) -> Vec<&'a str> {
    let mut features = features.to_vec();
    match named_engines(arguments) {
        _ if arguments.iter().any(|argument| ["--help", "-h"].contains(argument)) => features.clear(),
        Some(engines) => features.retain(|feature| engines.contains(feature)),
        None if arguments.contains(&"--quick") => features.retain(|feature| !SLOW_TO_BUILD.contains(feature)),
        None => {}
    }
    features
}

/// What stands after `--engines`, or after `--engines=`.
fn named_engines<'a>(arguments: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut after = arguments.iter().skip_while(|argument| !argument.starts_with("--engines"));
    let option = after.next()?;
    let list = option.strip_prefix("--engines=").or_else(|| after.next().copied())?;
    Some(list.split(',').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_built() {
        let features = ["redb", "rocksdb", "sqlite"];
        assert_eq!(wanted(&[], &features), features);
        assert_eq!(wanted(&["--quick"], &features), ["redb"]);
        assert_eq!(wanted(&["--quick", "--engines", "kv,sqlite"], &features), ["sqlite"]);
        assert_eq!(wanted(&["--engines=redb"], &features), ["redb"]);
        assert!(wanted(&["--engines", "kv"], &features).is_empty());
        assert!(wanted(&["--help"], &features).is_empty());
    }
}
