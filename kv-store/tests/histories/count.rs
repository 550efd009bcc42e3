use std::fmt;

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub runs: u64,
    pub incarnations: u64,
    /// Openings that found a checkpoint.
    pub on_checkpoints: u64,
    pub writes: u64,
    pub actions: u64,
    /// Observations of the whole store: transactions, snapshots, iterations, reads.
    pub observations: u64,
    /// Answers without a write that had to survive a crash.
    pub answers: u64,
    /// Records that the feed gave.
    pub fed: u64,
    /// How often a feed was resumed where an earlier one had ended.
    pub resumed: u64,
    /// States that a follower showed.
    pub followed: u64,
    pub failures: u64,
    /// Writes that a crash lost.
    pub lost: u64,
}

impl Count {
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.incarnations += other.incarnations;
        self.on_checkpoints += other.on_checkpoints;
        self.writes += other.writes;
        self.actions += other.actions;
        self.observations += other.observations;
        self.answers += other.answers;
        self.fed += other.fed;
        self.resumed += other.resumed;
        self.followed += other.followed;
        self.failures += other.failures;
        self.lost += other.lost;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            incarnations,
            on_checkpoints,
            writes,
            actions,
            observations,
            answers,
            fed,
            resumed,
            followed,
            failures,
            lost,
        } = self;
        write!(
            f,
            "{runs} runs, {incarnations} incarnations ({on_checkpoints} openings on a checkpoint), {actions} actions, "
        )?;
        write!(
            f,
            "{observations} observations of the whole store, {answers} answers that crashes left, \
             {fed} records fed (resumed {resumed} times), {followed} states followed, "
        )?;
        write!(f, "{writes} writes logged, {lost} of them lost by crashes, {failures} calls failed")
    }
}
