//! Makes a system call of a process fail, or kills the process there, with strace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    process::{self, Ended},
    tools,
};

/// A process whose system calls on a store's files are counted, and then made to fail one by one.
pub struct Subject {
    /// Fills a directory of its own.
    pub prepare: Box<dyn Fn(&Path) + Sync>,
    /// The process, which works in that directory.
    pub command: Box<dyn Fn(&Path) -> Command + Sync>,
    /// The store's directory, from that directory on.
    pub store: &'static str,
}

/// The n-th call of a system call on the store's files.
#[derive(Clone, Debug)]
pub struct Point {
    pub call: String,
    pub nth: usize,
    /// As strace prints it.
    pub line: String,
}

/// All calls of a run without faults, and their paths, from the store's directory on.
pub struct Points {
    pub all: Vec<Point>,
    paths: BTreeSet<String>,
}

/// The result of a run under strace.
pub struct Run {
    pub home: TempDir,
    pub ended: Ended,
    /// Whether the process reached the call that was to fail, by what strace printed of it.
    pub met: bool,
}

impl Run {
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

/// Whether processes can be traced. If not, reports it.
pub fn works(tested: &str) -> bool {
    if !tools::has("strace", tested) {
        return false;
    }
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output().unwrap();
    if !traced.status.success() {
        tools::not_tested(tested, &String::from_utf8_lossy(&traced.stderr));
    }
    traced.status.success()
}

impl Subject {
    /// Counts the calls, in two runs: the first finds the files, the second the calls on them.
    pub fn points(&self) -> Points {
        let (home, log) = self.traced(&[]);
        let root = home.path().canonicalize().unwrap().join(self.store);
        let root = root.to_str().unwrap();
        let mut paths = BTreeSet::from([String::new()]);
        for (at, _) in log.match_indices(root) {
            let path = log[at + root.len()..].split(['>', '"']).next().unwrap_or_default();
            paths.insert(path.to_owned());
        }
        let (_home, log) = self.traced(&self.filter(&paths));
        let mut counts = BTreeMap::new();
        let all = log.lines().filter_map(|line| {
            let (task, call) = call_of(line)?;
            let nth = counts.entry((task.to_owned(), call.to_owned())).and_modify(|n| *n += 1).or_insert(1);
            Some(Point { call: call.to_owned(), nth: *nth, line: line.to_owned() })
        });
        Points { all: all.collect(), paths }
    }

    /// Runs the process with a fault (in strace's syntax) at the point, and at all later calls of
    /// that kind if it is `lasting`.
    pub fn run(&self, points: &Points, point: &Point, fault: &str, lasting: bool) -> Run {
        let home = self.home();
        let Point { call, nth, .. } = point;
        let plus = if lasting { "+" } else { "" };
        let mut arguments = self.filter(&points.paths);
        arguments.push(format!("-etrace={call}"));
        arguments.push(format!("-einject={call}:{fault}:when={nth}{plus}"));
        let (ended, log) = self.strace(&home, &arguments);
        let met = log.contains("(INJECTED)") || log.contains("+++ killed by SIGKILL");
        Run { home, ended, met }
    }

    fn filter(&self, paths: &BTreeSet<String>) -> Vec<String> {
        paths.iter().flat_map(|path| ["-P".to_owned(), format!("HOME/{}{path}", self.store)]).collect()
    }

    fn home(&self) -> TempDir {
        let home = tools::memory_dir();
        (self.prepare)(home.path());
        home
    }

    /// Runs the process without faults.
    fn traced(&self, arguments: &[String]) -> (TempDir, String) {
        let home = self.home();
        let (ended, log) = self.strace(&home, arguments);
        ended.expect_code(&[0], &"a run in which nothing fails");
        (home, log)
    }

    /// Runs the process under strace. `HOME` in an argument stands for the directory.
    fn strace(&self, home: &TempDir, arguments: &[String]) -> (Ended, String) {
        let path = home.path().canonicalize().unwrap();
        let log = home.path().join("strace.log");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "0", "-o"]).arg(&log);
        strace.args(arguments.iter().map(|argument| argument.replacen("HOME", path.to_str().unwrap(), 1)));
        let command = (self.command)(&path);
        strace.arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        strace.current_dir(&path);
        let ended = process::run(&mut strace);
        (ended, fs::read_to_string(&log).unwrap_or_default())
    }
}

/// The task and the name of the call that strace printed, if a call begins in this line.
fn call_of(line: &str) -> Option<(&str, &str)> {
    let (task, rest) = line.split_once(' ')?;
    let name = rest.trim_start().split_once('(')?.0;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((task, name))
}
