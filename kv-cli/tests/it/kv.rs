//! Running the binary in a directory of its own.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use kv_store::{LogOptions, Options};
use tempfile::TempDir;

/// A temporary directory to work in. The store is in `kv-data` below it.
pub struct Kv {
    home: TempDir,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Kv {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The directory of the store.
    pub fn store(&self) -> PathBuf {
        self.path("kv-data")
    }

    /// Writes a file to be imported and returns its name.
    pub fn file<'n>(&self, name: &'n str, content: impl AsRef<[u8]>) -> &'n str {
        fs::write(self.path(name), content).unwrap();
        name
    }

    /// Overwrites `k` of the collection `c` 20 times, with a checkpoint each time and short
    /// segments. So the log is trimmed: the older of two checkpoints cannot be compared with it any
    /// more.
    pub fn trim_log(&self) {
        let segment = 16 << 10;
        let log = LogOptions { segment_bytes_max: segment, segment_bytes_min: segment, ..LogOptions::default() };
        let store = Options { log, ..Options::default() }.open(self.store()).unwrap();
        for round in 0..20_u8 {
            store.collection("c").unwrap().put("k", [round; 4000]).unwrap();
            store.checkpoint().unwrap();
        }
        store.close().unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
        command.args(args).current_dir(self.home.path()).env_remove("KV_DIR").stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    pub fn run_bytes(&self, args: &[&[u8]]) -> Ran {
        self.command(&[]).args(args.iter().map(|arg| OsStr::from_bytes(arg))).output().unwrap().into()
    }

    pub fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self.spawn(args);
        // A command that refuses its input may not read all of it.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap().into()
    }

    /// Starts a command with pipes for everything.
    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command that must succeed, and returns its stdout as text.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).expect(0)
    }

    /// Runs a command that must fail, and returns its stderr: one line.
    #[track_caller]
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.out, b"", "{ran:?}");
        ran.expect_failure(code)
    }
}

impl Ran {
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        String::from_utf8(self.out).unwrap()
    }

    /// The error, which is one line. What was created before is left out.
    #[track_caller]
    pub fn expect_failure(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.ends_with('\n'), "{self:?}");
        let created = |line: &&str| line.starts_with("kv: note: created ");
        let lines: Vec<&str> = self.err.lines().skip_while(created).collect();
        assert!(lines.len() == 1 && lines[0].starts_with("kv: "), "{self:?}");
        format!("{}\n", lines[0])
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!err.contains("panicked"), "{err}");
        Self { code: output.status.code().unwrap(), out: output.stdout, err }
    }
}

/// All files below a directory, sorted, with their contents.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(path).unwrap())),
        }
    }
    found.sort();
    found
}
