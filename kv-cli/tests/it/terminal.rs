//! What a person sees, on a terminal of 80 columns.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::kv::Kv;

/// Runs a command on a terminal of its own, types `input`, and returns its exit code and everything
/// that the terminal got, with `\n` as the end of a line.
pub fn on_terminal(command: Command, input: &str) -> (i32, String) {
    conversation(command, &[("", input)])
}

/// The same, with several inputs. Each is typed when the terminal has shown a text since the last
/// one: a program that changes the mode of its terminal forgets what was typed before.
pub fn conversation(mut command: Command, inputs: &[(&str, &str)]) -> (i32, String) {
    let (mut ours, theirs) = terminal();
    let copies = [theirs.try_clone().unwrap(), theirs.try_clone().unwrap(), theirs];
    let [stdin, stdout, stderr] = copies;
    let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).env("TERM", "xterm").spawn().unwrap();
    drop(command); // it holds the other side open
    let screen = Arc::new(Mutex::new(String::new()));
    let reader = thread::spawn({
        let (screen, ours) = (Arc::clone(&screen), ours.try_clone().unwrap());
        move || read(ours, &screen)
    });
    let mut seen = 0;
    for (expected, input) in inputs {
        seen += wait_for(&screen, seen, expected);
        ours.write_all(input.as_bytes()).unwrap();
    }
    let code = child.wait().unwrap().code().unwrap();
    reader.join().unwrap();
    (code, screen.lock().unwrap().replace("\r\n", "\n"))
}

/// Reads until the other side is closed.
fn read(mut ours: File, screen: &Mutex<String>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = ours.read(&mut buffer) {
        screen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

/// Waits until the screen shows a text behind what was seen, and returns how much more it shows.
fn wait_for(screen: &Mutex<String>, seen: usize, expected: &str) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let screen = screen.lock().unwrap().clone();
        if screen[seen..].contains(expected) {
            return screen.len() - seen;
        }
        assert!(Instant::now() < deadline, "no {expected:?}: {screen}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Our side and the command's side of a terminal.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (ours.into(), theirs.into())
}

fn seen(kv: &Kv, args: &[&str], input: &str) -> (i32, String) {
    on_terminal(kv.command(args), input)
}

#[test]
fn a_value_ends_its_line_on_a_terminal() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "value"]);
    kv.ok(&["put", "c", "lines", "a\nb\n"]);
    assert_eq!(seen(&kv, &["get", "c", "k"], ""), (0, "value\n".into()));
    assert_eq!(seen(&kv, &["get", "c", "lines"], ""), (0, "a\nb\n".into()));
    assert_eq!(kv.ok(&["get", "c", "k"]), "value", "but not in a pipe");
}

#[test]
fn what_is_no_text_does_not_control_the_terminal() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "1b5b33316dff", "--hex"].map(|arg| if arg == "k" { "6b" } else { arg }));
    let (code, screen) = seen(&kv, &["get", "c", "k", "--color=never"], "");
    let note = "kv: note: the value is not text, so it is escaped here; a pipe or file gets its\nbytes\n";
    assert_eq!((code, screen.as_str()), (0, &*format!("\\x1b[31m\\xff\n{note}")));
    assert_eq!(kv.run(&["get", "c", "k"]).out, b"\x1b[31m\xff");
}

#[test]
fn rows_do_not_control_the_terminal_either() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "6b", "1b5b33316d", "--hex"]);
    let (code, screen) = seen(&kv, &["export", "c", "--format", "tsv"], "");
    assert!(code == 3 && screen.contains("control the terminal") && !screen.contains("\u{1b}[31m"), "{screen:?}");
    assert_eq!(kv.ok(&["export", "c", "--format", "tsv"]), "k\t\u{1b}[31m\n");
    let (code, screen) = seen(&kv, &["export", "c"], "");
    assert_eq!((code, screen.as_str()), (0, "{\"key\":\"k\",\"value\":\"\\u001b[31m\"}\n"));
}

#[test]
fn errors_in_the_command_line_fit_the_terminal() {
    let kv = Kv::new();
    let (_, screen) = seen(&kv, &["list", "--limit", &"9".repeat(60), "--color=never"], "");
    assert!(screen.starts_with("kv: invalid value"), "{screen}");
    assert!(screen.lines().all(|line| line.len() <= 80), "{screen}");
}

#[test]
fn it_asks_before_it_destroys() {
    let kv = Kv::new();
    kv.run_with_stdin(&["import", "c", "-"], b"a\t1\nb\t2\n").expect(0);
    let (code, screen) = seen(&kv, &["drop", "c", "--color=never"], "n\n");
    assert_eq!(code, 2);
    assert!(screen.contains("Drop \"c\" with 2 entries? [y/N] ") && screen.ends_with("kv: nothing was changed\n"));
    assert_eq!(seen(&kv, &["clear", "c"], "\n").0, 2);
    assert_eq!(seen(&kv, &["clear", "c"], "\u{4}").0, 2, "the end of the input is no answer");
    assert_eq!(kv.ok(&["list"]), "c\t2\n");
    let (code, screen) = seen(&kv, &["delete", "c", "--from", "b"], "y\n");
    assert!(code == 0 && screen.contains("Delete 1 entry of \"c\"? [y/N] "), "{screen}");
    assert_eq!(seen(&kv, &["drop", "c"], "YES\n").0, 0);
    assert_eq!(kv.ok(&["list"]), "");
}

#[test]
fn colours_are_for_terminals() {
    let kv = Kv::new();
    let error = "\u{1b}[1;31mkv:\u{1b}[0m there is no store";
    assert!(seen(&kv, &["get", "c", "k"], "").1.starts_with(error));
    let (_, usage) = seen(&kv, &["nonsense"], "");
    assert!(usage.starts_with("\u{1b}[1;31mkv:\u{1b}[0m unrecognized"), "{usage:?}");
    let mut command = kv.command(&["get", "c", "k"]);
    command.env("NO_COLOR", "1");
    assert!(on_terminal(command, "").1.starts_with("kv: there"));
    assert!(seen(&kv, &["get", "c", "k", "--color", "never"], "").1.starts_with("kv: there"));
    assert!(!kv.run(&["get", "c", "k"]).err.contains('\u{1b}'));
    assert!(kv.run(&["get", "c", "k", "--color=always"]).err.starts_with(error));
}

#[test]
fn help_fits_80_columns() {
    let kv = Kv::new();
    let help = kv.ok(&["--help"]);
    let wide = help.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
}
