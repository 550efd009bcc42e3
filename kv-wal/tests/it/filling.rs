//! At what pace the next segment is filled.

use std::{
    mem,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use kv_core::{Durability, Log};
use kv_testkit::{
    ManualScheduler,
    vfs::{Event, Kind, TestVfs},
};
use kv_wal::{Options, SegmentedLog};

use crate::{
    memory::{Files, MemoryVfs},
    support::{append_and_sync, small},
};

const SEGMENT_BYTES: u64 = 1 << 20;
const SYNC_TIME: Duration = Duration::from_millis(2);

/// How many bytes of a new segment were written before each sync of it.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<(Vec<usize>, usize)>>);

impl Pieces {
    fn note(&self, event: &Event) {
        if event.path != "segment.tmp" {
            return;
        }
        let (pieces, unsynced) = &mut *self.0.lock().unwrap();
        match event.kind {
            Kind::Write => *unsynced += event.bytes,
            Kind::Sync => pieces.push(mem::take(unsynced)),
            _ => {}
        }
    }

    fn take(&self) -> Vec<usize> {
        mem::take(&mut self.0.lock().unwrap().0)
    }
}

/// A log on a disk whose flushes take [`SYNC_TIME`]. Its job runs by call only.
fn open() -> (Pieces, ManualScheduler, SegmentedLog) {
    let (pieces, scheduler) = (Pieces::default(), ManualScheduler::new());
    let noted = pieces.clone();
    let before = move |event: &Event| {
        noted.note(event);
        if event.kind == Kind::Sync {
            thread::sleep(SYNC_TIME);
        }
    };
    let vfs = TestVfs::before(MemoryVfs::new(&Files::new()), before).unwrap();
    let options = Options {
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: SEGMENT_BYTES,
        scheduler: Arc::new(scheduler.clone()),
        ..small()
    };
    let log = SegmentedLog::open(vfs, options).unwrap();
    append_and_sync(&log, 1);
    (pieces, scheduler, log)
}

/// Appends records until the active segment is used up to that part, in percent.
fn use_up_to(log: &SegmentedLog, percent: u64) {
    while log.medium_bytes_after(log.bounds().trimmed) < SEGMENT_BYTES * percent / 100 {
        log.append(&[7; 8000], Durability::Process).unwrap();
    }
}

#[test]
fn a_segment_that_nothing_waits_for_is_filled_in_short_pieces_with_pauses() {
    let (pieces, scheduler, _log) = open();
    pieces.take();
    let began = Instant::now();
    scheduler.run("kv-wal-spare").unwrap();
    let (took, pieces) = (began.elapsed(), pieces.take());
    assert!(pieces.len() == 8 && pieces.iter().all(|bytes| *bytes <= (128 << 10) + 4096), "{pieces:?}");
    // The last piece is followed by no pause.
    assert!(took >= 5 * SYNC_TIME * 7, "{took:?}");
}

#[test]
fn pieces_become_longer_while_the_log_may_soon_need_the_segment() {
    for (percent, count) in [(70, 4), (40, 4)] {
        let (pieces, scheduler, log) = open();
        use_up_to(&log, percent);
        pieces.take();
        scheduler.run("kv-wal-spare").unwrap();
        let pieces = pieces.take();
        assert!(pieces.len() == count && pieces.contains(&(512 << 10)), "at {percent} %: {pieces:?}");
    }
}

#[test]
fn a_segment_that_is_needed_at_once_is_filled_in_few_pieces() {
    let (pieces, _, log) = open();
    assert!(pieces.take().len() <= 4, "the first segment of a log");
    use_up_to(&log, 99);
    for _ in 0..4 {
        log.append(&[7; 8000], Durability::Process).unwrap();
    }
    let pieces = pieces.take();
    assert!((3..=4).contains(&pieces.len()), "{pieces:?}");
}
