use crate::kv::{Kv, files};

#[test]
fn it_measures_in_plain_words_and_cleans_up() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let before = files(&kv.path("."));
    let out = kv.ok(&["bench", "--seconds", "1"]);
    for name in ["flush", "1 thread", "8 threads", "no waiting", "read", "scan", "close"] {
        assert!(out.lines().any(|line| line.trim_start().starts_with(name)), "{name}: {out}");
    }
    assert!(out.contains("\nVerdict: "), "{out}");
    assert!(!out.contains(" 0 gets/s") && !out.contains(" 0 entries/s"), "{out}");
    let wide = out.lines().skip(1).find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
    assert!(files(&kv.path(".")) == before, "something was left behind or changed");
    assert_eq!(kv.run(&["bench", "--seconds", "0"]).code, 2);
}

#[test]
fn an_interrupted_one_cleans_up_too() {
    let kv = Kv::new();
    let mut child = kv.spawn(&["bench", "--seconds", "600"]);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    assert!(line.starts_with("A benchmark of kv"), "{line}");
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(15));
    assert_eq!(files(&kv.path(".")), []);
}
