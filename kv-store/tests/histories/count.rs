use std::fmt;

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub runs: u64,
    pub lives: u64,
    /// Openings that found a checkpoint.
    pub on_checkpoints: u64,
    pub writes: u64,
    pub actions: u64,
    pub failures: u64,
    /// Writes that a crash has taken.
    pub lost: u64,
}

impl Count {
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.lives += other.lives;
        self.on_checkpoints += other.on_checkpoints;
        self.writes += other.writes;
        self.actions += other.actions;
        self.failures += other.failures;
        self.lost += other.lost;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, lives, on_checkpoints, writes, actions, failures, lost } = self;
        write!(f, "{runs} runs, {lives} lives ({on_checkpoints} openings on a checkpoint), {actions} actions, ")?;
        write!(f, "{writes} writes logged, {lost} of them lost by crashes, {failures} calls failed")
    }
}
