use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kv_core::background::{Job, Next, Scheduler, Wake};
use kv_testkit::ManualScheduler;

struct Counting(Arc<AtomicU32>);

impl Job for Counting {
    fn run(&mut self) -> Next {
        self.0.fetch_add(1, Ordering::Relaxed);
        Next::After(Duration::from_secs(1))
    }
}

fn counting(scheduler: &ManualScheduler, name: &'static str) -> (Arc<AtomicU32>, Box<dyn Wake>) {
    let count = Arc::default();
    let wake = scheduler.spawn(name, Box::new(Counting(Arc::clone(&count)))).unwrap();
    (count, wake)
}

#[test]
fn jobs_run_only_when_told() {
    let scheduler = ManualScheduler::new();
    let (a, wake_a) = counting(&scheduler, "a");
    let (b, _wake_b) = counting(&scheduler, "b");
    assert_eq!(scheduler.run_woken(), 0);
    wake_a.wake().unwrap();
    wake_a.wake().unwrap();
    assert_eq!(scheduler.woken(), ["a"]);
    assert_eq!(scheduler.run_woken(), 1);
    assert_eq!(scheduler.run_woken(), 0);
    assert_eq!(scheduler.run("b"), Some(Next::After(Duration::from_secs(1))));
    assert_eq!(scheduler.run("c"), None);
    assert_eq!((a.load(Ordering::Relaxed), b.load(Ordering::Relaxed)), (1, 1));
    drop(wake_a);
    assert_eq!(scheduler.jobs(), ["b"]);
    assert_eq!(scheduler.run("a"), None);
}

/// A job that ends another one, and then itself.
struct Ending(Arc<Mutex<Vec<Box<dyn Wake>>>>);

impl Job for Ending {
    fn run(&mut self) -> Next {
        self.0.lock().unwrap().clear();
        Next::WhenWoken
    }
}

#[test]
fn a_job_may_be_ended_from_within_a_run() {
    let scheduler = ManualScheduler::new();
    let handles = Arc::new(Mutex::new(Vec::new()));
    let ending = scheduler.spawn("ending", Box::new(Ending(Arc::clone(&handles)))).unwrap();
    let (count, other) = counting(&scheduler, "other");
    ending.wake().unwrap();
    other.wake().unwrap();
    handles.lock().unwrap().extend([ending, other]);
    assert_eq!(scheduler.run_woken(), 1);
    assert_eq!(scheduler.jobs(), [""; 0]);
    assert_eq!(count.load(Ordering::Relaxed), 0);
}
