//! Gets from a database with ten times as many entries. The processor's caches hold little of it.

use super::{Bench, Scenario, USUAL, VALUE_BYTES, gets::gets};
use crate::harness::{
    data::Values,
    engine::{Database, Level, Result, Role},
};

pub const GET: Scenario = Scenario {
    name: "get-large",
    workloads: &["get-10m-1", "get-10m-2", "get-10m-zipf-1", "get-10m-zipf-2", "get-10m-absent-1", "get-10m-absent-2"],
    steps: &[get_large],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Ceiling | Role::Limit),
    large: true,
    ..USUAL
};

fn get_large(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let database = bench.open(Level::Process)?;
    bench.load_and_settle(&*database, &Values::new(VALUE_BYTES))?;
    gets(bench, &*database, "get-10m");
    database.close()?;
    Ok(None)
}
