//! Gets from memory alone, and from a checkpoint of one, three and seven parts, with nothing in
//! memory.

use super::{
    Bench, Scenario, Size, USUAL, VALUE_BYTES,
    gets::{absent_gets, dependent_gets, present_gets, read_all},
};
use crate::harness::{
    data::Values,
    engine::{Database, Engine, Level, Result, Role},
    measure::settle,
};

/// The shares of the parts, from the oldest to the newest: one that holds most entries, and newer
/// ones of two sizes, as they are before a merge.
const SHARES: [&[u64]; 3] = [&[1], &[100, 10, 3], &[100, 10, 10, 3, 3, 3, 3]];

pub const PARTS: Scenario = Scenario {
    name: "parts",
    workloads: &[
        "get-memory-1",
        "get-memory-2",
        "get-memory-dependent",
        "get-mapped-1",
        "get-mapped-1-dependent",
        "get-mapped-1-absent",
        "get-mapped-3",
        "get-mapped-3-dependent",
        "get-mapped-3-absent",
        "get-mapped-7",
        "get-mapped-7-dependent",
        "get-mapped-7-absent",
    ],
    steps: &[|bench| parts(bench, "get-", 0), |bench| parts(bench, "get-", 1), |bench| parts(bench, "get-", 2)],
    takes,
    ..USUAL
};

pub const LARGE: Scenario = Scenario {
    name: "parts-large",
    workloads: &[
        "get-10m-mapped-1",
        "get-10m-mapped-1-dependent",
        "get-10m-mapped-1-absent",
        "get-10m-mapped-3",
        "get-10m-mapped-3-dependent",
        "get-10m-mapped-3-absent",
        "get-10m-mapped-7",
        "get-10m-mapped-7-dependent",
        "get-10m-mapped-7-absent",
    ],
    steps: &[
        |bench| parts(bench, "get-10m-", 0),
        |bench| parts(bench, "get-10m-", 1),
        |bench| parts(bench, "get-10m-", 2),
    ],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Limit),
    size: Size::Large,
    ..USUAL
};

/// LMDB is the fastest peer at gets, and has no parts: it shows how far the others are.
fn takes(engine: &dyn Engine) -> bool {
    matches!(engine.role(), Role::Ours | Role::Limit) || engine.name() == "lmdb"
}

/// Measures one row of [`SHARES`]. Only our engine has more than one part.
fn parts(bench: &mut Bench<'_>, name: &str, row: usize) -> Result<Option<Box<dyn Database>>> {
    let shares = SHARES[row];
    let mapped = format!("{name}mapped-{}", shares.len());
    let of_memory = shares.len() == 1;
    if !bench.wanted.iter().any(|name| name.starts_with(&mapped) || (of_memory && name.starts_with("get-memory")))
        || !(of_memory || bench.engine.role() == Role::Ours)
    {
        return Ok(None);
    }
    bench.enter(&mapped)?;
    let level = if bench.engine.promise(Level::Process).is_some() { Level::Process } else { Level::Disk };
    let opened = bench.engine.open_held(&bench.directory, level)?;
    let database = &*opened;
    load_slices(bench, database, shares)?;
    settle(database);
    if let Some(found) = database.parts()
        && found != shares.len()
    {
        return Err(format!("there are {found} parts instead of {}", shares.len()).into());
    }
    read_all(bench, database, &mapped);
    present_gets(bench, database, &mapped, 1);
    dependent_gets(bench, database, &format!("{mapped}-dependent"));
    absent_gets(bench, database, &format!("{mapped}-absent"), 1);
    opened.close()?;
    Ok(None)
}

/// Loads slices of these shares, and makes each a part. A single slice is read from memory first.
fn load_slices(bench: &mut Bench<'_>, database: &dyn Database, shares: &[u64]) -> Result {
    let (values, sum) = (Values::new(VALUE_BYTES), shares.iter().sum::<u64>());
    let mut start = 0;
    for (at, share) in shares.iter().enumerate() {
        let last = at + 1 == shares.len();
        let end = if last { bench.entries } else { start + bench.entries * share / sum };
        bench.load_in_order(database, &values, start..end)?;
        if shares.len() == 1 {
            memory(bench, database);
        }
        bench.checkpoint(database)?;
        start = end;
    }
    Ok(())
}

fn memory(bench: &mut Bench<'_>, database: &dyn Database) {
    let [one, two, dependent] = ["get-memory-1", "get-memory-2", "get-memory-dependent"];
    if bench.wants_any(&[one, two, dependent]) {
        read_all(bench, database, one);
        present_gets(bench, database, one, 1);
        present_gets(bench, database, two, 2);
        dependent_gets(bench, database, dependent);
    }
}
