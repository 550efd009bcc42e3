use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
};

use super::{WriterToken, horizon::Visible, versions::Versions};
use crate::{
    CollectionId, CollectionInfo, Lsn,
    sync::{ArcSwap, AtomicUsize, RandomState},
};

/// How many shards there are. A change copies its shard, so that readers take no lock; more shards make the copies smaller.
const SHARDS: usize = 64;

/// The table of names: which collection a name stood for at which position.
#[derive(Debug)]
pub(crate) struct Names {
    shards: Box<[ArcSwap<Shard>]>,
    hasher: RandomState,
    /// How many names stand for a collection after everything that was applied.
    live: AtomicUsize,
    /// The last position at which any name changed. This and the next are the writer's own.
    changed: atomic::AtomicU64,
    /// The last deletion that was forgotten.
    forgotten: atomic::AtomicU64,
}

type Shard = HashMap<Arc<str>, Arc<Versions<CollectionId>>, RandomState>;

impl Names {
    /// The names of these collections, as they have been since those were created.
    pub(crate) fn of(collections: &[CollectionInfo]) -> Self {
        let hasher = RandomState::default();
        let mut shards = vec![Shard::with_hasher(hasher.clone()); SHARDS];
        for CollectionInfo { id, name, .. } in collections {
            let versions = Arc::new(Versions::new(id.lsn, Some(*id)));
            shards[shard_of(&hasher, name)].insert(name.as_str().into(), versions);
        }
        let live = shards.iter().map(HashMap::len).sum();
        let shards = shards.into_iter().map(ArcSwap::from_pointee).collect();
        Self { shards, hasher, live: AtomicUsize::new(live), changed: 0.into(), forgotten: 0.into() }
    }

    /// The collection of that name at the position that `position` gives. It is asked for after the names were taken, and so not before a
    /// pruning that they could miss.
    pub(crate) fn at(&self, name: &str, position: impl FnOnce() -> Lsn) -> Option<CollectionId> {
        self.shard(name).load().get(name)?.at(position())?.copied()
    }

    /// The collection of that name after everything that was applied, and the position that this
    /// rests on. For the writer only.
    pub(crate) fn newest(&self, _writer: &WriterToken, name: &str) -> (Lsn, Option<CollectionId>) {
        match self.shard(name).load().get(name) {
            Some(versions) => (versions.lsn(), versions.newest().copied()),
            // It may be one that was forgotten: that is durable, but the log may not answer for it
            // yet.
            None => (Lsn(self.forgotten.load(Ordering::Relaxed)), None),
        }
    }

    /// The position that the number of collections rests on. For the writer only.
    pub(crate) fn changed(&self, _writer: &WriterToken) -> Lsn {
        Lsn(self.changed.load(Ordering::Relaxed))
    }

    /// How many collections there are after everything that was applied.
    pub(crate) fn live(&self, _writer: &WriterToken) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// All collections at `position`, in order of their identities.
    pub(crate) fn all_at(&self, position: Lsn) -> Vec<(CollectionId, Arc<str>)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.load();
            let live = |(name, versions): (&Arc<str>, &Arc<Versions<CollectionId>>)| {
                versions.at(position).flatten().map(|&id| (id, Arc::clone(name)))
            };
            all.extend(shard.iter().filter_map(live));
        }
        all.sort_unstable();
        all
    }

    /// Lets the name stand for another collection, or none, from `lsn` on.
    pub(crate) fn apply(
        &self,
        writer: &mut WriterToken,
        lsn: Lsn,
        name: &str,
        id: Option<CollectionId>,
        visible: &Visible,
    ) {
        let shard = self.shard(name);
        match (self.newest(writer, name).1, id) {
            (None, Some(_)) => self.live.fetch_add(1, Ordering::Relaxed),
            (Some(_), None) => self.live.fetch_sub(1, Ordering::Relaxed),
            _ => self.live(writer),
        };
        let mut changed = Shard::clone(&shard.load());
        changed.retain(|_, versions| {
            let is_gone = versions.is_gone(visible);
            if is_gone {
                self.forgotten.fetch_max(versions.lsn().0, Ordering::Relaxed);
            }
            !is_gone
        });
        let versions = match changed.get(name) {
            Some(older) => {
                let mut versions = Versions::clone(older);
                versions.push(lsn, id);
                versions.prune(visible);
                versions
            }
            None => Versions::new(lsn, id),
        };
        changed.insert(name.into(), Arc::new(versions));
        self.changed.store(lsn.0, Ordering::Relaxed);
        shard.store(Arc::new(changed));
    }

    fn shard(&self, name: &str) -> &ArcSwap<Shard> {
        &self.shards[shard_of(&self.hasher, name)]
    }
}

fn shard_of(hasher: &RandomState, name: &str) -> usize {
    hasher.hash_one(name) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(lsn: u64) -> CollectionId {
        CollectionId { lsn: Lsn(lsn), index: 0 }
    }

    #[test]
    fn a_name_stands_for_what_it_stood_for_at_the_position() {
        let (names, mut writer) = (Names::of(&[]), WriterToken::new());
        names.apply(&mut writer, Lsn(1), "a", Some(id(1)), &Visible::from(Lsn(0)));
        names.apply(&mut writer, Lsn(2), "a", None, &Visible::from(Lsn(0)));
        names.apply(&mut writer, Lsn(3), "a", Some(id(3)), &Visible::from(Lsn(0)));
        let seen: Vec<_> = (0..4).map(|position| names.at("a", || Lsn(position))).collect();
        assert_eq!(seen, [None, Some(id(1)), None, Some(id(3))]);
        assert_eq!(names.newest(&writer, "a"), (Lsn(3), Some(id(3))));
        assert_eq!(names.newest(&writer, "b"), (Lsn(0), None));
        assert_eq!(names.changed(&writer), Lsn(3));
    }

    #[test]
    fn all_collections_come_in_order_of_identity() {
        let (names, mut writer) = (Names::of(&[]), WriterToken::new());
        for (lsn, name) in [(1, "z"), (2, "a"), (3, "m")] {
            names.apply(&mut writer, Lsn(lsn), name, Some(id(lsn)), &Visible::from(Lsn(0)));
        }
        names.apply(&mut writer, Lsn(4), "a", None, &Visible::from(Lsn(0)));
        let all = |position| names.all_at(Lsn(position)).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(all(3), ["z", "a", "m"].map(Arc::from));
        assert_eq!(all(4), ["z", "m"].map(Arc::from));
        assert_eq!(names.live(&writer), 2);
    }

    #[test]
    fn dropped_names_are_forgotten() {
        let (names, mut writer) = (Names::of(&[]), WriterToken::new());
        for lsn in 0..10_000 {
            let (name, lsn) = (format!("n{lsn}"), 2 * lsn + 1);
            names.apply(&mut writer, Lsn(lsn), &name, Some(id(lsn)), &Visible::from(Lsn(lsn.saturating_sub(1))));
            names.apply(&mut writer, Lsn(lsn + 1), &name, None, &Visible::from(Lsn(lsn)));
        }
        let kept: usize = names.shards.iter().map(|shard| shard.load().len()).sum();
        assert!(kept <= 2 * SHARDS, "{kept} names are kept");
        let (depends_on, id) = names.newest(&writer, "n5");
        assert!(id.is_none() && depends_on >= Lsn(12), "it was dropped at 12, not at {depends_on}");
    }

    #[test]
    fn dropped_names_are_kept_while_a_power_cut_may_bring_them_back() {
        let (names, mut writer) = (Names::of(&[]), WriterToken::new());
        names.apply(&mut writer, Lsn(1), "a", Some(id(1)), &Visible::unsettled(Lsn(0)));
        names.apply(&mut writer, Lsn(2), "a", None, &Visible::unsettled(Lsn(1)));
        for lsn in 3..1000 {
            names.apply(&mut writer, Lsn(lsn), &lsn.to_string(), Some(id(lsn)), &Visible::unsettled(Lsn(lsn - 1)));
        }
        assert_eq!(names.newest(&writer, "a"), (Lsn(2), None));
        assert_eq!(names.newest(&writer, "never"), (Lsn(0), None));
    }
}
