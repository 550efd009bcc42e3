//! Reads of a store with ten times as many entries, and what it takes. The processor's caches hold
//! little of it.

use super::{
    Bench, Scenario, Size, USUAL, VALUE_BYTES,
    gets::gets,
    loaded::{disk, memory},
    scans::iterate,
    written::{Names, overwrite_all},
};
use crate::harness::{
    data::Values,
    engine::{Database, Level, Result, Role},
    measure::Memory,
};

pub const GET: Scenario = Scenario {
    name: "get-large",
    workloads: &[
        "memory-10m",
        "disk-10m",
        "get-10m-1",
        "get-10m-2",
        "get-10m-dependent-1",
        "get-10m-zipf-1",
        "get-10m-zipf-2",
        "get-10m-absent-1",
        "get-10m-absent-2",
        "iterate-10m",
        "written-10m",
        "disk-10m-compacted",
    ],
    steps: &[large],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Ceiling | Role::Limit),
    size: Size::Large,
    ..USUAL
};

fn large(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let before = Memory::of(None)?;
    let opened = bench.open(Level::Process)?;
    let (database, values) = (&*opened, Values::new(VALUE_BYTES));
    bench.load_and_settle(database, &values)?;
    memory(bench, "memory-10m", database, before);
    disk(bench, "disk-10m");
    gets(bench, database, "get-10m");
    iterate(bench, database, "iterate-10m");
    if bench.engine.role() == Role::Ours {
        overwrite_all(bench, database, &values, Names { written: "written-10m", compacted: "disk-10m-compacted" });
    }
    opened.close()?;
    Ok(None)
}
