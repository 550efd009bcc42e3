//! The backends in memory keep the guarantees of their traits.

use std::sync::Arc;

use kv_core::{Crash, Log, MemoryLog, MemoryLogMedium, Result};
use kv_testkit::log::{LogFaults, LogHarness, LogPowerCut, LogSpace};

struct LogInMemory {
    medium: MemoryLogMedium,
}

impl LogInMemory {
    fn new() -> Self {
        Self { medium: MemoryLogMedium::with_record_bytes_max(4 << 20) }
    }
}

impl LogHarness for LogInMemory {
    fn open(&mut self) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(MemoryLog::open(&self.medium)?))
    }

    fn kill(&mut self) {
        self.medium = self.medium.after(Crash::Killed);
    }
}

impl LogPowerCut for LogInMemory {
    fn cut_power(&mut self) {
        self.medium = self.medium.after(Crash::PowerCut);
    }
}

impl LogFaults for LogInMemory {
    fn fail_next_flush(&mut self) {
        self.medium.fail_next_flush();
    }
}

impl LogSpace for LogInMemory {
    fn fill(&mut self) {
        self.medium.set_full(true);
    }

    fn free(&mut self) {
        self.medium.set_full(false);
    }
}

kv_testkit::log_suite!(log, LogInMemory::new);
kv_testkit::log_power_cut_suite!(log_power_cut, LogInMemory::new);
kv_testkit::log_fault_suite!(log_faults, LogInMemory::new);
kv_testkit::log_space_suite!(log_space, LogInMemory::new);
