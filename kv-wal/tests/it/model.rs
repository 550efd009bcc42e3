//! Random calls, compared with a plain list.

use kv_core::{Durability, Epoch, Error, Log, Lsn};
use kv_wal::{SegmentedLog, is_blank, verify};
use proptest::prelude::*;

use crate::{
    memory::{Files, MemoryVfs},
    support::small,
};

#[derive(Clone, Debug)]
enum Step {
    Append { bytes: usize, durability: Durability },
    Sync { back: u64 },
    Trim { upto: u64 },
    Kill,
    CloseAndOpen,
    ReadAfter { back: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let durability = prop_oneof![Just(Durability::Disk), Just(Durability::Process)];
    let bytes = prop_oneof![8 => 0..200usize, 2 => 3900..4200usize, 1 => 0..30_000usize];
    prop_oneof![
        12 => (bytes, durability).prop_map(|(bytes, durability)| Step::Append { bytes, durability }),
        6 => (0..4u64).prop_map(|back| Step::Sync { back }),
        1 => (0..200u64).prop_map(|upto| Step::Trim { upto }),
        1 => Just(Step::Kill),
        1 => Just(Step::CloseAndOpen),
        2 => (0..20u64).prop_map(|back| Step::ReadAfter { back }),
    ]
}

/// What the log should hold: the records by position, and its bounds.
#[derive(Default)]
struct Model {
    records: Vec<(Epoch, Vec<u8>)>,
    durable: u64,
    written: u64,
    trimmed: u64,
}

impl Model {
    fn appended(&self) -> u64 {
        self.records.len() as u64
    }

    fn check(&self, log: &SegmentedLog) {
        let bounds = log.bounds();
        assert_eq!(bounds.appended.0, self.appended());
        assert!(bounds.durable.0 >= self.durable && bounds.written.0 >= self.written);
        assert!(bounds.trimmed.0 <= self.trimmed.min(bounds.durable.0));
    }

    fn check_reading(&self, log: &SegmentedLog, after: u64) {
        let bounds = log.bounds();
        let reader = log.reader(Lsn(after));
        if after < bounds.trimmed.0 {
            assert!(matches!(reader, Err(Error::Trimmed { .. })));
            return;
        }
        let mut reader = reader.unwrap();
        for lsn in after + 1..=bounds.durable.0 {
            let record = reader.next().unwrap().unwrap();
            let (epoch, bytes) = &self.records[lsn as usize - 1];
            assert_eq!((record.lsn.0, record.epoch, record.payload), (lsn, *epoch, &**bytes));
        }
        assert_eq!(reader.next().unwrap(), None);
    }

    /// After an opening: everything that was with the kernel is there, and all of it is durable.
    fn reopened(&mut self, log: &SegmentedLog) {
        let last = log.bounds().appended.0;
        assert!((self.written..=self.appended()).contains(&last));
        self.records.truncate(last as usize);
        (self.durable, self.written) = (last, last);
        self.check(log);
        self.check_reading(log, log.bounds().trimmed.0);
    }
}

fn run(steps: Vec<Step>) {
    let vfs = MemoryVfs::new(&Files::new());
    let open = || SegmentedLog::open(vfs.clone(), small()).unwrap();
    let mut log = open();
    let mut model = Model::default();
    for (at, step) in steps.into_iter().enumerate() {
        match step {
            Step::Append { bytes, durability } => {
                let record = vec![at as u8; bytes];
                let lsn = log.append(&record, durability).unwrap();
                model.records.push((log.bounds().epoch, record));
                assert_eq!(lsn.0, model.appended());
                let nothing_waits = model.written == model.appended() - 1;
                if durability == Durability::Process && nothing_waits {
                    model.written = lsn.0;
                }
            }
            Step::Sync { back } => {
                let upto = model.appended().saturating_sub(back);
                let durable = log.sync(Lsn(upto)).unwrap().0;
                assert!(durable >= upto);
                model.durable = model.durable.max(durable);
                model.written = model.written.max(durable);
            }
            Step::Trim { upto } if upto > model.appended() => {
                assert!(matches!(log.trim(Lsn(upto)), Err(Error::Misuse(_))));
            }
            Step::Trim { upto } => {
                log.trim(Lsn(upto)).unwrap();
                model.trimmed = model.trimmed.max(upto);
            }
            Step::Kill => {
                drop(log);
                log = open();
                model.reopened(&log);
            }
            Step::CloseAndOpen => {
                log.close().unwrap();
                (model.durable, model.written) = (model.appended(), model.appended());
                model.check(&log);
                drop(log);
                log = open();
                model.reopened(&log);
            }
            Step::ReadAfter { back } => model.check_reading(&log, log.bounds().durable.0.saturating_sub(back)),
        }
        model.check(&log);
        assert!(model.durable == 0 || !is_blank(&*vfs).unwrap());
    }
    drop(log);
    assert_eq!(verify(&*vfs).unwrap().len(), 0);
    model.reopened(&open());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_does_what_a_list_would(steps in prop::collection::vec(step(), 1..80)) {
        run(steps);
    }
}
