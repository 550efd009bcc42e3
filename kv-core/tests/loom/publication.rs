use kv_core::{Durability, Lsn};

use crate::support::{Subject, explore};

#[test]
fn one_writer_one_reader() {
    for bound in [Some(2), Some(3), None] {
        explore("w r", bound, || {
            let subject = Subject::new();
            let writer = subject.spawn(|subject| {
                subject.put(2, Durability::Disk).unwrap();
                assert_eq!(subject.get(), 2);
            });
            let seen = subject.get();
            assert!(Lsn(seen.into()) <= subject.log.may_be_seen());
            writer.join().unwrap();
        });
    }
}
