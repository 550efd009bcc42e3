//! Every exit code, in the situations that a script may meet.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use crate::kv::{Kv, files};

#[test]
fn usage_is_2() {
    let kv = Kv::new();
    for args in
        [&[][..], &["nonsense"], &["get", "c"], &["list", "--limit", "x"], &["put", "c", "k", "-x"], &["--dir", ""]]
    {
        let ran = kv.run(args);
        assert_eq!((ran.code, ran.out.len()), (2, 0), "{ran:?}");
        assert!(ran.err.contains("Usage: kv") || ran.err.contains("--help"), "{}", ran.err);
    }
}

#[test]
fn refused_input_is_3() {
    let kv = Kv::new();
    let long = "x".repeat(256);
    for args in [
        &["put", "", "k", "v"][..],
        &["put", &long, "k", "v"],
        &["put", "c", "", "v"],
        &["put", "c", &"k".repeat(65_536), "v"],
    ] {
        kv.fails(3, args);
    }
    kv.ok(&["put", &"x".repeat(255), &"k".repeat(65_535), "v"]);
    for args in [
        &["get", "", "k"][..],
        &["get", "c", ""],
        &["delete", "c", ""],
        &["list", ""],
        &["export", &long],
        &["import", "", "-"],
    ] {
        kv.fails(3, args);
    }
    kv.run_bytes(&[b"put", b"c\xff", b"k", b"v"]).expect_failure(3);
    let too_large = vec![0; (64 << 20) + 1];
    kv.run_with_stdin(&["put", "c", "k", "-"], &too_large).expect_failure(3);
    kv.run_with_stdin(&["put", "c", "k", "-"], &too_large[..64 << 20]).expect(0);
}

#[test]
fn locked_is_4() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let mut holder = kv.spawn(&["import", "c", "-"]);
    let mut pipe = holder.stdin.take().unwrap();
    let rows: String = (0..1_000).map(|i| format!("{i}\tx\n")).collect();
    // More than a pipe holds: once this is written, the import is reading, with the store open.
    for _ in 0..40 {
        pipe.write_all(rows.as_bytes()).unwrap();
    }
    for args in [
        &["put", "c", "k", "w"][..],
        &["put", "c", "k", "w", "--wait", "1"],
        &["pop", "c"],
        &["drop", "c", "--yes"],
        &["changes"],
        &["stats"],
        &["inspect"],
        &["shell"],
        &["checkpoint"],
        &["verify"],
    ] {
        let started = Instant::now();
        let err = kv.fails(4, args);
        let by = format!("in use by process {};", holder.id()); // without a list of locks: "another process"
        assert!(err.contains(&by) || err.contains("in use by another process"), "{err}");
        assert!(err.contains("try again"), "{err}");
        assert!(started.elapsed() < Duration::from_secs(10), "{args:?} waited");
    }
    assert_eq!(kv.ok(&["get", "c", "k"]), "v", "it is read beside the writer");
    assert!(kv.ok(&["list", "--json"]).contains("\"c\""));
    assert!(kv.ok(&["dump"]).contains("kv_dump"));
    kv.fails(1, &["get", "c", "none"]);
    let waiting = [&["put", "c", "k", "w"][..], &["verify"]].map(|args| kv.spawn(&[args, &["--wait", "600"]].concat()));
    drop(pipe);
    assert!(holder.wait().unwrap().success());
    for command in waiting {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(kv.ok(&["get", "c", "k"]), "w");
    assert_eq!(kv.ok(&["list"]), "c\t1001\n");
}

#[test]
fn a_reader_that_prints_for_long_does_not_lock_others_out() {
    let kv = Kv::new();
    let rows: String = (0..50_000).map(|i| format!("key-{i:08}\tsome value that takes space\n")).collect();
    kv.run_with_stdin(&["import", "c", "-"], rows.as_bytes()).expect(0);
    for args in [&["scan", "c"][..], &["export", "c", "--format", "tsv"], &["dump"]] {
        let mut reader = kv.spawn(args);
        let mut pipe = std::io::BufReader::new(reader.stdout.take().unwrap());
        let mut out = String::new();
        std::io::BufRead::read_line(&mut pipe, &mut out).unwrap();
        kv.ok(&["put", "c", "key-x", "new"]);
        std::io::Read::read_to_string(&mut pipe, &mut out).unwrap();
        assert!(reader.wait().unwrap().success());
        assert!(out.contains("key-00049999") && !out.contains("key-x"), "{args:?}: it shows one position");
        kv.ok(&["delete", "c", "key-x"]);
    }
}

#[test]
fn damaged_is_5() {
    let kv = Kv::new();
    let rows: String = (0..3_000).map(|i| format!("key-{i}\tvalue {i}\n")).collect();
    kv.run_with_stdin(&["import", "c", "-"], rows.as_bytes()).expect(0);
    kv.ok(&["checkpoint"]);
    kv.ok(&["put", "c", "after", "the checkpoint"]);
    let good = files(&kv.store());
    let mut found = 0;
    for (path, bytes) in &good {
        let Some(at) = bytes.iter().position(|b| *b != 0) else { continue };
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        fs::write(path, bad).unwrap();
        let ran = kv.run(&["verify"]);
        if ran.code != 0 {
            found += 1;
            assert_eq!(ran.code, 5, "{}: {ran:?}", path.display());
            assert!(ran.err.starts_with("kv: "), "{ran:?}");
            let name = path.file_name().unwrap().to_str().unwrap();
            let told = String::from_utf8(ran.out).unwrap() + &ran.err;
            assert!(told.contains(name), "{name}: {told}");
        }
        let read = kv.run(&["export", "c"]);
        assert!([0, 5].contains(&read.code), "{}: {}", path.display(), read.err);
        fs::write(path, bytes).unwrap();
        assert_eq!(kv.run(&["verify"]).code, 0, "{}", path.display());
    }
    assert!(found >= 3, "only {found} of {} damaged files were noticed", good.len());
}

#[test]
fn input_and_output_is_6() {
    let kv = Kv::new();
    kv.file("plain", "not a directory");
    for args in [&["get", "c", "k"][..], &["put", "c", "k", "v"], &["list"], &["verify"]] {
        let err = kv.fails(6, &[&["--dir", "plain"], args].concat());
        assert!(err.contains("plain") && err.contains("ot a directory"), "{err}");
    }
    assert_eq!(fs::read(kv.path("plain")).unwrap(), b"not a directory");
}

#[test]
#[expect(clippy::print_stderr, reason = "what is not tested is reported")]
fn no_permission_is_6() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    fs::set_permissions(kv.store(), fs::Permissions::from_mode(0o000)).unwrap();
    // The super user cannot be refused.
    if fs::read_dir(kv.store()).is_err() {
        for args in [&["get", "c", "k"][..], &["put", "c", "k", "v"]] {
            assert!(kv.fails(6, args).contains("Permission denied"));
        }
    } else {
        eprintln!("NOT TESTED: this user may read everything, so nothing can be refused");
    }
    fs::set_permissions(kv.store(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_does_not_kill() {
    let kv = Kv::new();
    let script = format!("ulimit -f 8; exec {} put c k v", env!("CARGO_BIN_EXE_kv"));
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(kv.path(".")).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("File too large"), "{output:?}");
    kv.ok(&["put", "c", "k", "v"]);
}
