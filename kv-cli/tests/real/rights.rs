//! A user without permissions, and a read-only file system: the messages are clear, and what can be
//! read is read.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    kv::{Kv, Ran, files},
    mounts::{self, Image, Kind, Mounted},
    tools,
};

const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];
const WRITING: [&[&str]; 4] =
    [&["put", "c", "k", "w"], &["delete", "c", "k"], &["import", "c", "rows.tsv"], &["checkpoint"]];
const READING: [&[&str]; 5] = [&["get", "c", "k"], &["list"], &["export", "c"], &["stats"], &["verify"]];

/// A store that was closed (or, if not `clean`, was left by a killed process), and a copy of the
/// command that every user may run.
fn store(clean: bool) -> Kv {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["checkpoint"]);
    kv.ok(&["put", "c", "after", "v"]);
    if !clean {
        let mut owner = kv.spawn(&["demo-writer", "killed", "k"]);
        BufReader::new(owner.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        owner.kill().unwrap();
        owner.wait().unwrap();
    }
    kv.file("rows.tsv", "key\tvalue\n");
    fs::copy(env!("CARGO_BIN_EXE_kv"), kv.path("kv")).unwrap();
    set_mode(&kv.path("."), 0o755);
    kv
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs `kv` as a user without special permissions.
fn as_nobody(kv: &Kv, args: &[&str]) -> Ran {
    let mut command = Command::new("setpriv");
    command.args(NOBODY).arg(kv.path("kv")).args(args).current_dir(kv.path("."));
    command.env_remove("KV_DIR").stdin(Stdio::null()).output().unwrap().into()
}

/// Whether commands can be run as another user. If not, reports it.
fn can_be_nobody(tested: &str) -> bool {
    tools::is_root(tested) && tools::has("setpriv", tested)
}

#[track_caller]
fn is_denied(ran: Ran, path: &str) {
    let line = ran.expect_failure(6);
    assert!(line.contains("Permission denied") && line.contains(path), "{line}");
    assert!(line.contains("the user who owns"), "it does not say what to do: {line}");
}

#[test]
fn the_store_of_another_user_is_denied() {
    if !can_be_nobody("the store of another user") {
        return;
    }
    let kv = store(true);
    let before = files(&kv.store());
    for args in READING.iter().chain(&WRITING) {
        is_denied(as_nobody(&kv, args), "kv-data");
    }
    // A readable directory with files that are not readable.
    set_mode(&kv.store(), 0o755);
    for args in READING.iter().chain(&WRITING) {
        is_denied(as_nobody(&kv, args), "kv-data");
    }
    assert_eq!(files(&kv.store()), before);
    is_denied(as_nobody(&kv, &["--dir", "new", "put", "c", "k", "v"]), "new");
    assert!(!kv.path("new").exists());
}

#[test]
fn a_readable_store_is_read_and_writing_is_denied() {
    if !can_be_nobody("a store that another user may read") {
        return;
    }
    for clean in [true, false] {
        let kv = store(clean);
        mounts::command("chmod", &["-R", "a+rX", kv.store().to_str().unwrap()]).unwrap();
        let before = files(&kv.store());
        for args in READING {
            as_nobody(&kv, args).expect(0);
        }
        assert_eq!(as_nobody(&kv, &["get", "c", "after"]).expect(0), "v");
        for args in WRITING {
            is_denied(as_nobody(&kv, args), "kv-data");
        }
        assert_eq!(files(&kv.store()), before, "clean: {clean}");
    }
}

#[test]
fn a_read_only_file_system_is_read() {
    if !mounts::work("a file system mounted for reading only") {
        return;
    }
    for clean in [true, false] {
        let kv = store(clean);
        let before = files(&kv.store());
        let data = kv.store();
        let mounted = Mounted::new(&["--bind", "-o", "ro", data.to_str().unwrap()], &kv.path("read-only")).unwrap();
        is_read_only(&kv, "read-only");
        drop(mounted);
        assert_eq!(files(&kv.store()), before, "clean: {clean}");
    }
}

mounts::on_each!(a_disk_mounted_read_only_is_read, "a disk mounted for reading only", read_only_on);

fn read_only_on(kind: Kind) {
    for clean in [true, false] {
        let kv = store(clean);
        let home = tools::memory_dir();
        let mut disk = Image::new(kind, home.path(), kind.small()).unwrap();
        let at = disk.path().join("read-only");
        let (data, at) = (kv.store(), at.to_str().unwrap());
        mounts::command("cp", &["-r", data.to_str().unwrap(), at]).unwrap();
        disk.mount_read_only();
        is_read_only(&kv, at);
        assert_eq!(contents(Path::new(at)), contents(&data), "clean: {clean}");
    }
    tools::say(&format!(
        "read only {}: a closed store and one of a killed process are read, and not written",
        kind.name()
    ));
}

fn contents(dir: &Path) -> Vec<Vec<u8>> {
    files(dir).into_iter().map(|(_, bytes)| bytes).collect()
}

/// Checks that the store of [`store`] in this directory can be read, and not written.
fn is_read_only(kv: &Kv, dir: &str) {
    let run = |args: &[&str]| kv.run(&[&["--dir", dir], args].concat());
    for args in READING {
        run(args).expect(0);
    }
    assert_eq!(run(&["get", "c", "after"]).expect(0), "v");
    for args in WRITING {
        let line = run(args).expect_failure(6);
        assert!(line.contains("Read-only file system") && line.contains("read-only/"), "{line}");
        assert!(line.contains("mounted for reading only"), "it does not say what to do: {line}");
    }
}
