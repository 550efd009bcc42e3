//! A store has one owner: another process is refused while the owner goes on, and comes in as soon as the owner is killed.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::ChildStdout,
};

use crate::{kv::Kv, tools};

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
        for args in [&["get", "c", "k"][..], &["put", "c", "k", "w"], &["checkpoint"], &["verify"]] {
            let line = kv.fails(4, args);
            assert!(line.contains("in use by another process") && line.contains("try again"), "{line}");
            assert!(line.contains("kv-data"), "{line}");
        }
        // Whoever was refused has disturbed nothing. More is read than pipes hold, so that it was written since.
        acknowledged(&mut lines, 4_000);
        owner.kill().unwrap();
        owner.wait().unwrap();
        assert_eq!(kv.ok(&["get", "c", "k"]), "v", "at once, without waiting");
    }
    assert_eq!(kv.run(&["verify"]).code, 0);
    tools::say(&format!("second opener: refused beside {KILLS} owners, and let in at once when each was killed"));
}
