use crate::kv::Kv;

#[test]
fn it_runs_twice_and_leaves_a_store_to_try() {
    let kv = Kv::new();
    for run in 1..=2 {
        // The demo has a directory of its own, whatever KV_DIR says.
        let ran: crate::kv::Ran = kv.command(&["demo"]).env("KV_DIR", "mine").output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        let out = ran.expect(0);
        assert!(out.starts_with("The demo of kv, in kv-demo\n"), "{out}");
        for step in ["open", "import", "read back", "change", "kill", "reopen", "check", "checkpoint", "verify"] {
            assert!(out.lines().any(|line| line.get(5..).is_some_and(|l| l.starts_with(step))), "{step}: {out}");
        }
        assert!(out.contains("Every check passed"), "{out}");
        assert_eq!(out.contains("the store of an earlier run is here"), run == 2, "{out}");
        let wide = out.lines().find(|line| line.contains(" ms  ") && !line.contains("reopen") && line.len() > 80);
        assert_eq!(wide, None, "it fits into 80 columns");
        for line in out.lines().filter(|line| line.starts_with("  /")) {
            assert!(try_out(&kv, line.trim()), "{line}");
        }
    }
    assert!(!kv.path("mine").exists());
    assert!(kv.ok(&["--dir", "kv-demo", "list"]).contains("unicode\t"));
}

/// Whether a command that the demo suggests works when it is pasted into a shell.
fn try_out(kv: &Kv, line: &str) -> bool {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", line]).current_dir(kv.path("."));
    let output = shell.output().unwrap();
    output.status.success() && output.stderr.is_empty()
}

#[test]
fn it_leaves_alone_what_is_not_its_own() {
    let kv = Kv::new();
    kv.ok(&["put", "unicode", "U+0041", "mine"]);
    let ran = kv.run(&["demo", "--dir", "kv-data"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("not the demo's"), "{}", ran.err);
    assert_eq!(kv.ok(&["get", "unicode", "U+0041"]), "mine");
    assert_eq!(kv.ok(&["list"]), "unicode\t1\n");

    kv.ok(&["--dir", "other", "put", "mine", "k", "v"]);
    kv.ok(&["demo", "--dir", "other"]);
    kv.ok(&["--dir", "other", "put", "unicode", "my own", "entry"]);
    assert!(kv.ok(&["demo", "--dir", "other"]).contains("(and 1 of yours)"));
    assert_eq!(kv.ok(&["--dir", "other", "get", "mine", "k"]), "v");
    assert_eq!(kv.ok(&["--dir", "other", "get", "unicode", "my own"]), "entry");
}
