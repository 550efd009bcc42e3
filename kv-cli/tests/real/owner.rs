//! A store has one owner: another process is refused while the owner is alive, and can open the
//! store as soon as the owner is killed.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::ChildStdout,
};

use crate::{
    kv::Kv,
    mounts::{self, Mounted},
    tools,
};

const KILLS: usize = 3;

fn acknowledged(lines: &mut Lines<BufReader<ChildStdout>>, count: usize) {
    for _ in 0..count {
        lines.next().unwrap().unwrap();
    }
}

#[test]
fn another_process_is_refused_until_the_owner_is_killed() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    for round in 0..KILLS {
        let mut owner = kv.spawn(&["demo-writer", "owner", &format!("{round}/")]);
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        acknowledged(&mut lines, 1);
        for args in [&["stats"][..], &["put", "c", "k", "w"], &["checkpoint"], &["verify"]] {
            let line = kv.fails(4, args);
            assert!(line.contains("in use by ") && line.contains("try again"), "{line}");
            assert!(line.contains("kv-data"), "{line}");
        }
        assert_eq!(kv.ok(&["get", "c", "k"]), "v", "a command that only reads is not refused");
        // The refused process has disturbed nothing. These are more lines than a pipe holds, so the
        // owner wrote some of them since.
        acknowledged(&mut lines, 4_000);
        owner.kill().unwrap();
        owner.wait().unwrap();
        assert_eq!(kv.ok(&["get", "c", "k"]), "v", "at once, without waiting");
    }
    assert_eq!(kv.run(&["verify"]).code, 0);
    tools::say(&format!("second opener: refused beside {KILLS} owners, and accepted at once when each was killed"));
}

/// A bind mount shows the same files, with their locks.
#[test]
fn another_process_is_refused_through_a_bind_mount() {
    if !mounts::work("a store that is opened through a bind mount") {
        return;
    }
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let mounted = Mounted::new(&["--bind", kv.store().to_str().unwrap()], &kv.path("bound")).unwrap();
    let bound = |args: &[&str]| kv.run(&[&["--dir", "bound"], args].concat());
    let mut owner = kv.spawn(&["demo-writer", "owner", "below/"]);
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    acknowledged(&mut lines, 1);
    for args in [&["stats"][..], &["put", "c", "k", "w"], &["checkpoint"], &["verify"]] {
        let line = bound(args).expect_failure(4);
        assert!(line.contains("bound is in use by") && line.contains("try again"), "{line}");
    }
    acknowledged(&mut lines, 4_000);
    owner.kill().unwrap();
    owner.wait().unwrap();
    bound(&["put", "c", "through", "v"]).expect(0);
    drop(mounted);
    assert_eq!(kv.ok(&["get", "c", "through"]), "v");
    assert_eq!(kv.run(&["verify"]).code, 0);
    tools::say("a bind mount: opening the store through it is refused until the owner is killed");
}

/// An overlay does not pass on the locks of its layers.
#[test]
fn another_process_above_an_overlay_is_refused_while_the_owner_below_is_alive() {
    let tested = "an owner below an overlay";
    if !(tools::is_root(tested) && tools::has("mount", tested)) {
        return;
    }
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    // The upper layer of an overlay can only be on some file systems.
    let home = tempfile::tempdir().unwrap();
    let layers = match mounts::tmpfs(&home, "layers", 64 << 20) {
        Ok(layers) => layers,
        Err(why) => return tools::not_tested(tested, &why),
    };
    let [upper, work] = ["upper", "work"].map(|name| layers.path().join(name));
    [&upper, &work].into_iter().for_each(|layer| std::fs::create_dir(layer).unwrap());
    let options =
        format!("lowerdir={},upperdir={},workdir={}", kv.path(".").display(), upper.display(), work.display());
    let above = match Mounted::new(&["-t", "overlay", "-o", &options, "overlay"], &layers.path().join("above")) {
        Ok(above) => above,
        Err(why) => return tools::not_tested(tested, &why),
    };
    let store = above.path().join("kv-data");
    let above = |args: &[&str]| kv.run(&[&["--dir", store.to_str().unwrap()], args].concat());

    let mut owner = kv.spawn(&["demo-writer", "owner", "below/"]);
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    acknowledged(&mut lines, 1);
    for args in [&["stats"][..], &["put", "c", "k", "w"], &["checkpoint"], &["verify"]] {
        let line = above(args).expect_failure(4);
        let by = format!("in use by process {}, through another mount", owner.id());
        assert!(line.contains(&by), "{line}");
    }
    acknowledged(&mut lines, 4_000);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(above(&["put", "c", "above", "v"]).expect(0), "", "the owner is dead");
    assert_eq!(above(&["verify"]).code, 0);
    assert_eq!(kv.run(&["verify"]).code, 0);
    kv.fails(1, &["get", "c", "above"]);
    tools::say("an owner below an overlay: opening the store above is refused until the owner is killed");
}
