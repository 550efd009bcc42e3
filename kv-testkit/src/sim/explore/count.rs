use std::{collections::BTreeMap, fmt};

use super::super::{CrashChoice, CrashModel, Survivors};

/// How many states were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Moments of recordings between which the disk changed.
    pub moments: u64,
    /// Disks that were checked. A disk that several power cuts at one moment leave is counted once.
    pub states: u64,
    /// Pairs of a moment and a model for which every legal state was checked.
    pub exhausted: u64,
    /// Pairs of a moment and a model for which only some states were checked.
    pub sampled: u64,
    pub(super) by_kind: BTreeMap<(CrashModel, &'static str), u64>,
}

impl Count {
    pub(super) fn note(&mut self, choice: &CrashChoice) {
        self.states += 1;
        *self.by_kind.entry((choice.model, kind(&choice.survivors))).or_default() += 1;
    }

    /// Adds the counts of another exploration.
    pub fn add(&mut self, other: &Self) {
        self.moments += other.moments;
        self.states += other.states;
        self.exhausted += other.exhausted;
        self.sampled += other.sampled;
        for (kind, count) in &other.by_kind {
            *self.by_kind.entry(*kind).or_default() += count;
        }
    }
}

fn kind(survivors: &Survivors) -> &'static str {
    match survivors {
        Survivors::Nothing => "nothing",
        Survivors::Everything => "everything",
        Survivors::Prefix(_) => "prefix",
        Survivors::Without(_) | Survivors::Except(_) => "without some",
        Survivors::Only(_) => "only one",
        Survivors::Numbered(_) => "counted out",
        Survivors::Sample(_) => "sampled",
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moments, states, exhausted, sampled, by_kind } = self;
        write!(f, "{states} states at {moments} moments; all states of {exhausted} crashes, some of {sampled}")?;
        for model in CrashModel::ALL {
            let kinds = by_kind.iter().filter(|((of, _), _)| *of == model);
            let kinds = kinds.map(|((_, kind), count)| format!("{count} {kind}")).collect::<Vec<_>>();
            if !kinds.is_empty() {
                write!(f, "\n  {model}: {}", kinds.join(", "))?;
            }
        }
        Ok(())
    }
}
