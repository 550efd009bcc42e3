//! The writer, killed at each system call on its store's files, or with that call failing: what it
//! had acknowledged is there, the store opens, and every failure is reported as an error.

use std::path::Path;

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
/// Calls that are repeated if a signal interrupts them.
const REPEATED: [&str; 5] = ["read", "pread64", "write", "pwrite64", "openat"];

/// A job for this number of threads. 0 stands for one thread that also does the engine's background
/// work, so that all runs are the same.
fn job(threads: u32) -> Job {
    Job { threads, incarnations: vec![0..14, 14..20] }
}

fn writer(threads: u32) -> Subject {
    let command = move |home: &Path| job(threads).command(&home.join("store"));
    Subject { prepare: Box::new(|_| ()), command: Box::new(command), store: "store" }
}

/// Whether the call changes something. A call that creates a file counts, and so do maps and
/// advice, whose failure may not be expected.
pub fn writes(point: &Point) -> bool {
    let call = point.call.as_str();
    WRITING.contains(&call) || ["mmap", "fadvise64"].contains(&call) || point.line.contains("O_CREAT")
}

/// What is done to the writer.
#[derive(Clone, Copy, Debug)]
struct Trial {
    name: &'static str,
    threads: u32,
    /// In strace's syntax.
    fault: &'static str,
    /// Whether all later calls of that kind fail, too.
    lasting: bool,
    check: fn(&Point, &Run),
}

impl Trial {
    const fn new(name: &'static str, fault: &'static str, check: fn(&Point, &Run)) -> Self {
        Self { name, threads: 0, fault, lasting: false, check }
    }

    /// Fails or kills the writer at points of its run, checks each outcome, and reports how many
    /// points there were.
    fn run(self, wanted: fn(&Point) -> bool) {
        if !strace::works(&format!("strace {}", self.name)) {
            return;
        }
        let writer = writer(self.threads);
        let points = writer.points();
        let all: Vec<Point> = points.all.iter().filter(|point| wanted(point)).cloned().collect();
        assert!(all.len() > 5, "{self:?}: only {} system calls in the run", all.len());
        let (count, tried) = (all.len(), tools::chosen(all));
        let met = tried.iter().filter(|point| self.try_point(&writer, &points, point)).count();
        let tried = tried.len();
        // With several threads, no two runs are quite the same.
        assert!(
            self.threads > 0 || met * 10 >= tried * 9,
            "{self:?}: of {tried} system calls only {met} were met again"
        );
        tools::say(&format!("strace {}: {tried} of {count} points tried, {met} met, all recovered", self.name));
    }

    /// Tries a point. Returns whether the writer reached it.
    fn try_point(self, writer: &Subject, points: &Points, point: &Point) -> bool {
        let why = (self, point);
        let run = writer.run(points, point, self.fault, self.lasting);
        let mut ledger = Ledger::default();
        ledger.note(&job(self.threads), &run.ended.out);
        if run.met {
            (self.check)(point, &run);
        } else {
            run.ended.expect_code(&[DONE], &why);
        }
        ledger.prove(&run.path("store"), &why);
        run.met
    }
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

fn not_closing(point: &Point) -> bool {
    point.call != "close"
}

#[test]
fn killed_at_each_call() {
    Trial::new("kill", "signal=KILL", is_killed).run(|_| true);
}

#[test]
fn an_io_error_at_each_call() {
    Trial::new("EIO", "error=EIO", fails_with_an_error).run(not_closing);
}

#[test]
fn an_io_error_at_each_call_and_all_later_ones() {
    let once = Trial::new("lasting EIO", "error=EIO", fails_with_an_error);
    Trial { lasting: true, ..once }.run(not_closing);
}

#[test]
fn no_space_at_each_call_that_writes() {
    Trial::new("ENOSPC", "error=ENOSPC", fails_with_an_error).run(writes);
}

#[test]
fn no_space_at_each_call_that_writes_and_all_later_ones() {
    let once = Trial::new("lasting ENOSPC", "error=ENOSPC", fails_with_an_error);
    Trial { lasting: true, ..once }.run(writes);
}

#[test]
fn an_interruption_at_each_call() {
    Trial::new("EINTR", "error=EINTR", is_repeated).run(not_closing);
}

#[test]
fn killed_at_each_call_of_several_threads() {
    Trial { threads: 3, ..Trial::new("kill, 3 threads", "signal=KILL", is_killed) }.run(|_| true);
}

#[test]
fn an_io_error_at_each_writing_call_of_several_threads() {
    Trial { threads: 3, ..Trial::new("EIO, 3 threads", "error=EIO", fails_with_an_error) }.run(writes);
}
