//! A writing process is killed at random moments: what it had acknowledged is there every time.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    thread,
    time::Duration,
};

use fastrand::Rng;

use crate::kv::Kv;

const ROUNDS: usize = 20;

#[test]
fn acknowledged_writes_survive_every_kill() {
    let kv = Kv::new();
    let mut rng = Rng::with_seed(42);
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = kv.spawn(&["demo-writer", "c", &format!("{round:02}/")]);
        drop(child.stdin.take());
        let pipe = child.stdout.take().unwrap();
        let reader = thread::spawn(move || BufReader::new(pipe).lines().collect::<Result<Vec<_>, _>>().unwrap());
        thread::sleep(Duration::from_millis(rng.u64(1..150)));
        child.kill().unwrap();
        child.wait().unwrap();
        // `lines` also gives a last line that was cut off, which acknowledges nothing.
        let complete = |line: &String| line.len() == "00/0-00000000".len();
        acknowledged.extend(reader.join().unwrap().into_iter().filter(complete));
        if acknowledged.is_empty() {
            continue;
        }
        if round % 5 == 4 {
            kv.ok(&["checkpoint"]);
        }
        let keys: BTreeSet<String> = kv.ok(&["list", "c"]).lines().map(str::to_owned).collect();
        let missing: Vec<_> = acknowledged.difference(&keys).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?}");
        assert!(keys.len() <= acknowledged.len() + 4 * (round + 1), "round {round}: more than was ever started");
    }
    assert!(!acknowledged.is_empty(), "no round got as far as a write");
    for row in kv.ok(&["export", "c"]).lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let key = row["key"].as_str().unwrap();
        assert_eq!(row["value"], format!("{key} was written here; ").repeat(8));
    }
    assert_eq!(kv.run(&["verify"]).code, 0);
}
