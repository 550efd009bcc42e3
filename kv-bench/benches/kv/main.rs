//! The benchmarks of kv. Figures differ between machines. Those under `machine` are the limits of
//! this one, measured in the same run: read the others as ratios to them.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]

mod changes;
mod get;
mod load;
mod lock;
mod long_records;
mod machine;
mod open;
mod put;
mod reader;
mod scan;
mod transact;

use criterion::Criterion;

/// Where the stores are: in cargo's target directory, which should be on a disk.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    machine::bench(&mut criterion);
    put::bench(&mut criterion);
    lock::bench(&mut criterion);
    load::bench(&mut criterion);
    long_records::bench(&mut criterion);
    get::bench(&mut criterion);
    reader::bench(&mut criterion);
    scan::bench(&mut criterion);
    transact::bench(&mut criterion);
    changes::bench(&mut criterion);
    open::bench(&mut criterion);
    criterion.final_summary();
}
