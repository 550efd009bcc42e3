//! Runs libFuzzer on the targets of `fuzz/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Result, command::run as run_command, sanitizers::Build};

/// How long each target runs by default.
const SECONDS: u64 = 20;

/// What the compiler must add to the code for libFuzzer: counters of edges, and reports of the
/// operands of comparisons.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Zsanitizer=address",
];

/// Runs the named targets, or all, one after the other.
pub fn run(arguments: &[&str]) -> Result {
    let (targets, seconds) = understand(arguments, &targets()?)?;
    let build = Build::new("fuzz")?;
    let mut cargo = build.cargo("build", &FLAGS);
    cargo.args(["--release", "--package", "kv-fuzz", "--features", "libfuzzer"]);
    cargo.args(targets.iter().flat_map(|target| ["--bin", target]));
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true").env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
    run_command(&mut cargo)?;
    let mut failures = Vec::new();
    for target in &targets {
        failures.extend(fuzz(&build, target, seconds)?);
    }
    println!("new inputs: {}", build.directory().join("corpus").display());
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The names of all targets. Each has a file of its own.
fn targets() -> Result<Vec<String>> {
    let folder = crate::root().join("fuzz/fuzz_targets");
    let cannot = |error| format!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        names.extend(entry.map_err(cannot)?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort_unstable();
    Ok(names)
}

fn understand(arguments: &[&str], all: &[String]) -> Result<(Vec<String>, u64)> {
    let (mut targets, mut seconds) = (Vec::new(), SECONDS);
    let mut arguments = arguments.iter();
    while let Some(&argument) = arguments.next() {
        if argument == "--seconds" {
            let number = arguments.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
            seconds = number.ok_or("--seconds needs a number, at least 1")?;
        } else if all.iter().any(|target| target == argument) {
            targets.push(argument.to_owned());
        } else {
            return Err(format!("there is no target {argument:?}; the targets are: {}", all.join(", ")));
        }
    }
    Ok((if targets.is_empty() { all.to_vec() } else { targets }, seconds))
}

/// Runs one target and prints how it went. Returns the failure, if any.
fn fuzz(build: &Build, target: &str, seconds: u64) -> Result<Option<String>> {
    let folder = |what: &str| {
        let path = build.directory().join(what).join(target);
        fs::create_dir_all(&path).map_err(|error| format!("cannot create {}: {error}", path.display())).map(|()| path)
    };
    let (found, artifacts, log) = (folder("corpus")?, folder("artifacts")?, folder("logs")?.join("log"));
    let binary = build.binaries().join(target);
    let log_file = fs::File::create(&log).map_err(|error| format!("cannot create {}: {error}", log.display()))?;
    let start = Instant::now();
    let status = Command::new(&binary)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"])
        .args([found, crate::root().join("fuzz/corpus").join(target)])
        .stdin(Stdio::null())
        .stderr(log_file)
        .status()
        .map_err(|error| format!("cannot run {}: {error}", binary.display()))?;
    let text = fs::read(&log).map_err(|error| format!("cannot read {}: {error}", log.display()))?;
    let report = Report::of(&String::from_utf8_lossy(&text));
    println!("{}", report.line(target, start.elapsed(), status.success()));
    Ok((!status.success()).then(|| report.failure(target, &binary, &log)))
}

/// What libFuzzer printed.
#[derive(Debug, Default, PartialEq)]
struct Report {
    executions: u64,
    coverage: u64,
    artifact: Option<PathBuf>,
}

impl Report {
    fn of(log: &str) -> Self {
        let after = |text: &str, before: &str| {
            let number = text.split_once(before)?.1.trim_start();
            number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let last = |before| log.lines().rev().find_map(|line| after(line, before));
        let artifact =
            log.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path.into()));
        // A run that was cut short prints no statistics, only progress lines. These begin with the
        // number.
        let progress = || log.lines().rev().find_map(|line| after(line, "#"));
        let executions = last("stat::number_of_executed_units:").or_else(progress).unwrap_or(0);
        Self { executions, coverage: last(" cov: ").unwrap_or(0), artifact }
    }

    fn line(&self, target: &str, time: Duration, sound: bool) -> String {
        let Self { executions, coverage, .. } = self;
        let seconds = time.as_secs_f64();
        let rate = *executions as f64 / seconds;
        let end = if sound { "no crash" } else { "CRASHED" };
        format!("{target:10} {executions:9} executions in {seconds:.0} s ({rate:.0}/s), coverage {coverage}, {end}")
    }

    fn failure(&self, target: &str, binary: &Path, log: &Path) -> String {
        let (binary, log) = (binary.display(), log.display());
        match &self.artifact {
            Some(artifact) => {
                let artifact = artifact.display();
                format!("{target} fails on {artifact}; to repeat it: {binary} {artifact}; its output is in {log}")
            }
            None => format!("{target} ended by itself; its output is in {log}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
#4\tINITED cov: 70 ft: 71 corp: 3/9b exec/s: 0 rss: 40Mb
#800\tNEW    cov: 90 ft: 91 corp: 4/10b lim: 4 exec/s: 0 rss: 40Mb L: 1/1 MS: 1 ChangeByte-
";

    #[test]
    fn figures_and_artifact_are_found_in_the_output() {
        let sound = format!("{LOG}Done 900 runs in 2 second(s)\nstat::number_of_executed_units: 900\n");
        assert_eq!(Report::of(&sound), Report { executions: 900, coverage: 90, artifact: None });
        let crashed = format!("{LOG}artifact_prefix='/a/'; Test unit written to /a/crash-1\nBase64: AA==\n");
        let report = Report::of(&crashed);
        assert_eq!(report, Report { executions: 800, coverage: 90, artifact: Some("/a/crash-1".into()) });
        assert!(report.failure("t", Path::new("/b"), Path::new("/l")).contains("to repeat it: /b /a/crash-1;"));
    }

    #[test]
    fn targets_and_time_are_understood_and_others_named() {
        let all = ["a".to_owned(), "b".to_owned()];
        assert_eq!(understand(&[], &all), Ok((all.to_vec(), SECONDS)));
        assert_eq!(understand(&["b", "--seconds", "3"], &all), Ok((vec!["b".to_owned()], 3)));
        assert!(understand(&["c"], &all).is_err_and(|message| message.ends_with("the targets are: a, b")));
        for bad in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"]] {
            assert!(understand(bad, &all).is_err());
        }
    }
}
