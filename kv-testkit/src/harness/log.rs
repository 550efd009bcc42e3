//! Harness traits for logs.

use std::sync::Arc;

use kv_core::{Crash, Log, MemoryLogMedium, Result};

use super::{
    Harness, Simulated,
    medium::{FileMedium, Medium},
};
use crate::{
    log::{LogDamage, LogFaults, LogHarness, LogPowerCut, LogSpace},
    vfs::{Fault, Files, Kind},
};

impl<M: Medium, T: Log + 'static> LogHarness for Harness<M, T> {
    fn open(&mut self) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(self.open_backend()?))
    }

    fn kill(&mut self) {
        self.medium.kill();
    }
}

impl<M: FileMedium, T: Log + 'static> LogFaults for Harness<M, T> {
    fn fail_next_flush(&mut self) {
        self.medium.fail(Fault::on(Kind::Sync).of(&self.records_in));
    }
}

impl<M: FileMedium, T: Log + 'static> LogDamage for Harness<M, T> {
    fn files(&mut self) -> Files {
        self.medium.files()
    }

    fn restore(&mut self, files: &Files) {
        self.medium.restore(files);
    }
}

impl<T: Log + 'static> LogPowerCut for Harness<Simulated, T> {
    fn cut_power(&mut self) {
        self.medium.cut_power();
    }
}

impl<T: Log + 'static> LogSpace for Harness<Simulated, T> {
    fn fill(&mut self) {
        let disk = self.medium.disk();
        disk.limit_space(disk.space_bytes());
    }

    fn free(&mut self) {
        self.medium.disk().limit_space(u64::MAX);
    }
}

impl<T: Log + 'static> LogPowerCut for Harness<MemoryLogMedium, T> {
    fn cut_power(&mut self) {
        self.medium = self.medium.after(Crash::PowerCut);
    }
}

impl<T: Log + 'static> LogFaults for Harness<MemoryLogMedium, T> {
    fn fail_next_flush(&mut self) {
        self.medium.fail_next_flush();
    }
}

impl<T: Log + 'static> LogSpace for Harness<MemoryLogMedium, T> {
    fn fill(&mut self) {
        self.medium.set_full(true);
    }

    fn free(&mut self) {
        self.medium.set_full(false);
    }
}
