use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
};

use super::{NamedCollection, WriterToken, horizon::Visible, versions::Versions};
use crate::{
    CollectionId, Lsn,
    sync::{ArcSwap, AtomicUsize, RandomState},
};

/// How many shards the table has. The writer copies the shard that it changes, so that readers need
/// no lock. With more shards, the copies are smaller.
const SHARDS: usize = 64;

/// The table of names: which collection each name stood for at which position.
///
/// Readers load a shard and keep it; the writer stores a changed copy. There is one writer at a
/// time, so no change is lost between the load and the store. The counters below are written by the
/// writer alone, under its lock, and therefore need no ordering of their own.
#[derive(Debug)]
pub(crate) struct Names {
    shards: Box<[ArcSwap<Shard>]>,
    hasher: RandomState,
    /// How many names stand for a collection after every applied change.
    live: AtomicUsize,
    /// The last position at which any name changed.
    changed: atomic::AtomicU64,
    /// The highest position of a deletion that was forgotten.
    forgotten: atomic::AtomicU64,
}

type Shard = HashMap<Arc<str>, Arc<Versions<CollectionId>>, RandomState>;

impl Names {
    /// The names of these collections, as they have been since the collections were created.
    pub(crate) fn of(collections: &[NamedCollection]) -> Self {
        let hasher = RandomState::default();
        let mut shards = vec![Shard::with_hasher(hasher.clone()); SHARDS];
        for (id, name) in collections {
            let versions = Arc::new(Versions::new(id.lsn, Some(*id)));
            shards[shard_of(&hasher, name)].insert(Arc::clone(name), versions);
        }
        let live = shards.iter().map(HashMap::len).sum();
        let shards = shards.into_iter().map(ArcSwap::from_pointee).collect();
        Self { shards, hasher, live: AtomicUsize::new(live), changed: 0.into(), forgotten: 0.into() }
    }

    /// The collection that `name` stood for at the position that `position` returns.
    ///
    /// `position` is called after the shard is loaded. The writer pruned the loaded shard by a
    /// published position that it read before it stored the shard; the position that is read now
    /// cannot be below that one, so the version that it selects is still there.
    pub(crate) fn at(&self, name: &str, position: impl FnOnce() -> Lsn) -> Option<CollectionId> {
        self.shard(name).load().get(name)?.at(position())?.copied()
    }

    /// The collection that `name` stands for after every applied change, and the position of the
    /// change that this depends on.
    pub(crate) fn newest(&self, _writer: &WriterToken, name: &str) -> (Lsn, Option<CollectionId>) {
        match self.shard(name).load().get(name) {
            Some(versions) => (versions.lsn(), versions.newest().copied()),
            // The name may have been deleted, and its deletion forgotten. The deletion is durable,
            // but the log may not have confirmed that yet.
            None => (Lsn(self.forgotten.load(Ordering::Relaxed)), None),
        }
    }

    /// The position of the change that the number of collections depends on.
    pub(crate) fn changed(&self, _writer: &WriterToken) -> Lsn {
        Lsn(self.changed.load(Ordering::Relaxed))
    }

    /// How many collections there are after every applied change.
    pub(crate) fn live(&self, _writer: &WriterToken) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// All collections at `position`, in order of identity.
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

    /// Makes `name` stand for another collection, or for none, from `lsn` on. Forgets the names of
    /// the same shard that are deleted for every reader.
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
    fn a_name_is_looked_up_at_a_position() {
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
