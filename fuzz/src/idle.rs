//! No background work: the same input does the same each time.

use std::sync::Arc;

use kv_core::{
    Result,
    background::{Job, Scheduler, Wake},
};

/// A scheduler whose jobs never run.
struct Idle;

impl Idle {
    fn shared() -> Arc<dyn Scheduler> {
        Arc::new(Self)
    }
}

impl Scheduler for Idle {
    fn spawn(&self, _: &'static str, _: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(Self))
    }
}

impl Wake for Idle {
    fn wake(&self) -> Result<()> {
        Ok(())
    }
}

/// A store that does nothing by itself.
pub(crate) fn store_options() -> kv_core::StoreOptions {
    kv_core::StoreOptions { scheduler: Idle::shared(), ..Default::default() }
}

/// A log of the smallest segments that does nothing by itself.
pub(crate) fn log_options(create: bool) -> kv_wal::Options {
    kv_wal::Options {
        create,
        segment_bytes_max: 16 << 10,
        segment_bytes_min: 16 << 10,
        scheduler: Idle::shared(),
        ..Default::default()
    }
}
