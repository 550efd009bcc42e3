//! A recovered store on a disk that accepts no write: a log sync that would be its first write is
//! refused, and can be retried.

use std::{
    future::poll_fn,
    io::ErrorKind,
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use kv_store::{Batch, Commit, Durability, Error, Store};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Fault, Kind},
};

use crate::support::small;

/// A store whose process was killed before the ack mark stated its last write.
fn killed() -> SimDisk {
    let disk = SimDisk::new(0);
    let store = small().open_in(disk.vfs()).unwrap();
    store.collection("c").unwrap().with_durability(Durability::Process).put("before", "v").unwrap();
    disk.killed()
}

#[test]
fn a_sync_that_is_refused_before_anything_was_written_is_not_final() {
    for (kind, error) in [
        (Kind::Write, ErrorKind::StorageFull),
        (Kind::Open, ErrorKind::ReadOnlyFilesystem),
        (Kind::Open, ErrorKind::PermissionDenied),
    ] {
        let disk = killed();
        let store = small().open_in(disk.vfs()).unwrap();
        disk.fail(Fault::on(kind).of("MARK").with(error).for_ever());
        for refused in [store.sync(), store.checkpoint().map(drop), store.sync()] {
            let is_refusal = |error: &Error| matches!(error, Error::DiskFull { .. } | Error::Io { .. });
            assert!(refused.as_ref().is_err_and(is_refusal), "{error:?}: {refused:?}");
        }
        disk.heal();
        store.sync().unwrap();
        store.collection("c").unwrap().put("after", "v").unwrap();
        store.checkpoint().unwrap();
        store.close().unwrap();
        drop(store);
        assert_eq!(small().open_in(disk.vfs()).unwrap().collection("c").unwrap().len().unwrap(), 2);
    }
}

/// A waker that signals its test.
struct Woken(mpsc::Sender<()>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// Polls the commit like an executor, until it is ready, but waits at most ten seconds for each
/// wake-up.
fn await_it(mut commit: Commit) -> kv_store::Result<()> {
    let (sender, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Woken(sender)));
    let mut answer = poll_fn(|context| Pin::new(&mut commit).poll(context));
    loop {
        if let Poll::Ready(answer) = Pin::new(&mut answer).poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        assert!(woken.recv_timeout(Duration::from_secs(10)).is_ok(), "the waker was not called");
    }
}

fn is_refusal(answer: &kv_store::Result<()>) -> bool {
    matches!(answer, Err(Error::DiskFull { .. } | Error::Io { .. }))
}

/// An answer that depends on what the killed process wrote, with durability `Disk`.
fn absent(store: &Store) -> Commit {
    store.deferred().write(Batch::new().delete_if_present("c", "absent")).unwrap()
}

/// Here the flusher requests the sync. The caller gets the refusal, and the store goes on.
#[test]
fn a_deferred_answer_that_is_refused_before_anything_was_written_is_not_final() {
    for awaited in [false, true] {
        let disk = killed();
        let store = small().open_in(disk.vfs()).unwrap();
        disk.fail(Fault::on(Kind::Write).of("MARK").with(ErrorKind::StorageFull).for_ever());
        let answer = |commit: Commit| if awaited { await_it(commit) } else { commit.wait() };
        for _ in 0..3 {
            let answer = answer(absent(&store));
            assert!(is_refusal(&answer), "awaited: {awaited}: {answer:?}");
        }
        drop(absent(&store));
        disk.heal();
        answer(absent(&store)).unwrap();
        store.collection("c").unwrap().put("after", "v").unwrap();
        store.close().unwrap();
    }
}
