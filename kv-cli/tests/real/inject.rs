//! The writer, killed at each system call on its store's files, or with that call failing: what it had acknowledged is there, the
//! store opens, and no failure is more than an error.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{
    ledger::Ledger,
    strace::{self, Point, Points, Run, Subject},
    tools,
    writer::{DONE, FAILED, Job},
};

/// The calls that change something, or make it durable.
const WRITING: [&str; 17] = [
    "write",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "syncfs",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
];
/// Calls that a signal may interrupt, and that are then made again.
const REPEATED: [&str; 5] = ["read", "pread64", "write", "pwrite64", "openat"];

fn job() -> Job {
    Job { threads: 0, lives: vec![0..14, 14..20] }
}

fn writer() -> Subject {
    Subject { prepare: Box::new(|_| ()), command: Box::new(|home| job().command(&home.join("store"))), store: "store" }
}

/// Whether the call changes something: also a file that is created, and a map or advice, whose failure may come as a surprise.
pub fn writes(point: &Point) -> bool {
    let call = point.call.as_str();
    WRITING.contains(&call) || ["mmap", "fadvise64"].contains(&call) || point.line.contains("O_CREAT")
}

/// Fails or kills the writer at points of its run, judges each, and says how many there were.
fn try_points(name: &str, fault: &str, lasting: bool, wanted: fn(&Point) -> bool, judge: fn(&Point, &Run)) {
    if !strace::works(&format!("strace {name}")) {
        return;
    }
    let writer = writer();
    let points = writer.points();
    let all: Vec<Point> = points.all.iter().filter(|point| wanted(point)).cloned().collect();
    assert!(all.len() > 5, "{name}: only {} system calls in the run", all.len());
    let (count, tried) = (all.len(), tools::chosen(all));
    let met = AtomicUsize::new(0);
    for point in &tried {
        met.fetch_add(usize::from(try_point(&writer, &points, point, (fault, lasting), judge)), Relaxed);
    }
    let (tried, met) = (tried.len(), met.into_inner());
    assert!(met * 10 >= tried * 9, "{name}: of {tried} system calls only {met} were met again");
    tools::say(&format!("strace {name}: {tried} of {count} points tried, {met} met, all recovered"));
}

fn try_point(
    writer: &Subject,
    points: &Points,
    point: &Point,
    (fault, lasting): (&str, bool),
    judge: fn(&Point, &Run),
) -> bool {
    let why = (fault, lasting, point);
    let run = writer.run(points, point, fault, lasting);
    let mut ledger = Ledger::default();
    ledger.note(&job(), &run.ended.out);
    if run.met {
        judge(point, &run);
    } else {
        run.ended.expect_code(&[DONE], &why);
    }
    ledger.prove(&run.path("store"), &why);
    run.met
}

fn is_killed(point: &Point, run: &Run) {
    assert!(run.ended.was_killed(), "{point:?}: {:?}", run.ended);
}

fn fails_with_an_error(point: &Point, run: &Run) {
    run.ended.expect_code(&[DONE, FAILED], point);
}

fn is_repeated(point: &Point, run: &Run) {
    let codes: &[i32] = if REPEATED.contains(&point.call.as_str()) { &[DONE] } else { &[DONE, FAILED] };
    run.ended.expect_code(codes, point);
}

#[test]
fn killed_at_each_call() {
    try_points("kill", "signal=KILL", false, |_| true, is_killed);
}

#[test]
fn an_io_error_at_each_call() {
    try_points("EIO", "error=EIO", false, |point| point.call != "close", fails_with_an_error);
}

#[test]
fn an_io_error_at_each_call_and_ever_after() {
    try_points("EIO for ever", "error=EIO", true, |point| point.call != "close", fails_with_an_error);
}

#[test]
fn no_space_at_each_call_that_writes() {
    try_points("ENOSPC", "error=ENOSPC", false, writes, fails_with_an_error);
}

#[test]
fn no_space_at_each_call_that_writes_and_ever_after() {
    try_points("ENOSPC for ever", "error=ENOSPC", true, writes, fails_with_an_error);
}

#[test]
fn an_interruption_at_each_call() {
    try_points("EINTR", "error=EINTR", false, |point| point.call != "close", is_repeated);
}
