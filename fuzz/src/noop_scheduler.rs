//! A scheduler that runs nothing: without background work, an input has the same effect each time.

use std::sync::Arc;

use kv_core::{
    Result,
    background::{Job, Scheduler, Wake},
};

/// A scheduler whose jobs never run.
struct NoopScheduler;

impl NoopScheduler {
    fn shared() -> Arc<dyn Scheduler> {
        Arc::new(Self)
    }
}

impl Scheduler for NoopScheduler {
    fn spawn(&self, _: &'static str, _: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(Self))
    }
}

impl Wake for NoopScheduler {
    fn wake(&self) -> Result<()> {
        Ok(())
    }
}

/// Options of a store without background work.
pub(crate) fn store_options() -> kv_core::StoreOptions {
    kv_core::StoreOptions { scheduler: NoopScheduler::shared(), ..Default::default() }
}

/// Options of a log with the smallest segments and without background work.
pub(crate) fn log_options(create: bool) -> kv_wal::Options {
    kv_wal::Options {
        create,
        segment_bytes_max: 16 << 10,
        segment_bytes_min: 16 << 10,
        scheduler: NoopScheduler::shared(),
        ..Default::default()
    }
}
