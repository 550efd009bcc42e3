//! Shrinks a failing state to a simpler one that fails at the same place.

use super::{
    super::{CrashChoice, CrashModel, LostUnit, Moment, Survivors, units::Units},
    panics::Panic,
};

/// How many states are tried, at most.
const TRIES_MAX: u64 = 400;

/// A state that fails, and its panic.
pub(super) struct FailingState {
    pub choice: CrashChoice,
    pub panic: Panic,
}

/// Looks for a state in which less is lost or torn, and which still fails at the same place.
pub(super) fn shrink(
    moment: &Moment,
    failing: FailingState,
    fails: impl FnMut(&CrashChoice) -> Option<Panic>,
) -> FailingState {
    if failing.choice.model == CrashModel::Killed {
        return failing;
    }
    let units = moment.disk.units(failing.choice.model);
    let losses = units.losses(&units.outcomes(&failing.choice.survivors));
    let choice = CrashChoice { model: units.model, survivors: survivors(&losses) };
    let failing = FailingState { choice, ..failing };
    let mut shrinking = Shrinking { units, losses, failing, fails, tries_left: TRIES_MAX };
    shrinking.leave_out();
    shrinking.lose_whole();
    shrinking.failing
}

struct Shrinking<F> {
    units: Units,
    losses: Vec<LostUnit>,
    failing: FailingState,
    fails: F,
    tries_left: u64,
}

impl<F: FnMut(&CrashChoice) -> Option<Panic>> Shrinking<F> {
    /// Keeps units that need not be lost. Tries all of them, then halves, then quarters, down to
    /// single units, as long as that helps.
    fn leave_out(&mut self) {
        let mut chunk = self.losses.len();
        while chunk != 0 {
            let before = self.losses.len();
            let mut at = 0;
            while at < self.losses.len() {
                let mut fewer = self.losses.clone();
                fewer.drain(at..fewer.len().min(at + chunk));
                if !self.still_fails(fewer) {
                    at += chunk;
                }
            }
            let helped = self.losses.len() < before;
            chunk = if chunk == 1 && helped { 1 } else { chunk / 2 };
        }
    }

    /// A lost sector is simpler than a torn one.
    fn lose_whole(&mut self) {
        for at in 0..self.losses.len() {
            let mut whole = self.losses.clone();
            if let Some(loss @ LostUnit { kept_bytes: 1.., .. }) = whole.get_mut(at) {
                loss.kept_bytes = 0;
                self.still_fails(whole);
            }
        }
    }

    fn still_fails(&mut self, losses: Vec<LostUnit>) -> bool {
        // The model's rules are applied first, which may lose more units.
        let losses = self.units.losses(&self.units.outcomes(&Survivors::Except(losses)));
        if losses.len() > self.losses.len() || losses == self.losses || self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        let choice = CrashChoice { model: self.units.model, survivors: survivors(&losses) };
        let panic = (self.fails)(&choice).filter(|panic| panic.is_where(&self.failing.panic));
        let Some(panic) = panic else { return false };
        self.failing = FailingState { choice, panic };
        self.losses = losses;
        true
    }
}

fn survivors(losses: &[LostUnit]) -> Survivors {
    if losses.is_empty() { Survivors::Everything } else { Survivors::Except(losses.to_vec()) }
}
