//! Harness traits for checkpointers.

use std::sync::Arc;

use kv_core::{CheckpointDamage, CheckpointId, Checkpointer, MemoryCheckpointMedium, Result};

use super::{
    Harness, Simulated,
    medium::{FileMedium, Medium},
};
use crate::{
    checkpointer::{CheckpointerDamage, CheckpointerFaults, CheckpointerHarness, CheckpointerPowerCut},
    vfs::Fault,
};

impl<M: Medium, T: Checkpointer + 'static> CheckpointerHarness for Harness<M, T> {
    fn open(&mut self) -> Result<Arc<dyn Checkpointer>> {
        Ok(Arc::new(self.open_backend()?))
    }

    fn kill(&mut self) {
        self.medium.kill();
    }
}

impl<M: FileMedium, T: Checkpointer + 'static> CheckpointerFaults for Harness<M, T> {
    fn fail_nth_operation(&mut self, n: u64) {
        self.failures_before = Some(self.medium.failures());
        self.medium.fail(Fault::on_any().nth(n).never_repeated());
    }

    fn failed(&mut self) -> bool {
        self.medium.heal();
        self.failures_before.take().is_some_and(|before| self.medium.failures() > before)
    }
}

impl<T: Checkpointer + 'static> CheckpointerPowerCut for Harness<Simulated, T> {
    fn cut_power(&mut self) {
        self.medium.cut_power();
    }
}

impl<T: Checkpointer + 'static> CheckpointerPowerCut for Harness<MemoryCheckpointMedium, T> {
    fn cut_power(&mut self) {
        self.medium.kill();
    }
}

impl<T: Checkpointer + 'static> CheckpointerFaults for Harness<MemoryCheckpointMedium, T> {
    /// Publishing is the only operation on this medium.
    fn fail_nth_operation(&mut self, n: u64) {
        self.failures_before = (n == 1).then_some(0);
        if n == 1 {
            self.medium.fail_next_write();
        }
    }

    fn failed(&mut self) -> bool {
        self.failures_before.take().is_some()
    }
}

impl<T: Checkpointer + 'static> CheckpointerDamage for Harness<MemoryCheckpointMedium, T> {
    fn damage(&mut self, id: CheckpointId, number: u64) {
        let damage = if number.is_multiple_of(2) { CheckpointDamage::Head } else { CheckpointDamage::Entries };
        self.medium.damage(id, damage);
    }

    fn repair(&mut self) {
        self.medium.repair();
    }

    fn verify(&mut self) -> Result<()> {
        self.medium.verify()
    }
}
