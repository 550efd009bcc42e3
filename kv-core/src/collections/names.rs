//! Which collection each name stands for.
//!
//! A *root* holds all names after some change of names. It is a persistent map: changing it costs
//! the logarithm of its size, and shares the rest with the root before. So a read view can hold the
//! root of each position that is read through it.

use std::{collections::VecDeque, sync::Arc};

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use super::NamedCollection;
use crate::{CollectionId, Lsn, sync::RandomState};

/// The names at the positions that may be read through a read view.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The position of the newest change, and the root that it led to.
    newest: (Lsn, Root),
    /// The roots before it that may still be read, each by the position that it belongs to. A
    /// change of names adds one, and drops at most [`FORGOTTEN_MAX`] of those that no position
    /// needs.
    older: RedBlackTreeMapSync<Lsn, Root>,
}

type Root = HashTrieMapSync<Arc<str>, Named, RandomState>;

/// How much a change of one name forgets of what earlier changes left. Each leaves one root and one
/// removal at most. So n further changes forget what a burst of n changes has left, and none of
/// them pays for many others.
const FORGOTTEN_MAX: usize = 2;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
struct Named {
    /// Since when.
    lsn: Lsn,
    /// `None` if its collection was dropped or renamed.
    id: Option<CollectionId>,
}

impl Names {
    /// Whether these names tell what was at a position.
    pub(crate) fn reach_back_to(&self, position: Lsn) -> bool {
        self.root(position).is_some()
    }

    /// The collection that `name` stood for at a position. The names must reach back to it.
    pub(crate) fn at(&self, name: &str, position: Lsn) -> Option<CollectionId> {
        self.root(position)?.get(name)?.id
    }

    /// All collections at a position, in order of identity. The names must reach back to it.
    pub(crate) fn all_at(&self, position: Lsn) -> Vec<NamedCollection> {
        let live = |(name, named): (&Arc<str>, &Named)| Some((named.id?, Arc::clone(name)));
        let mut all: Vec<_> = self.root(position).into_iter().flatten().filter_map(live).collect();
        all.sort_unstable();
        all
    }

    fn root(&self, position: Lsn) -> Option<&Root> {
        let (newest, root) = &self.newest;
        if *newest <= position {
            return Some(root);
        }
        self.older.range(..=position).next_back().map(|(_, root)| root)
    }
}

/// The names after every applied change.
#[derive(Debug)]
pub(crate) struct Writer {
    root: Root,
    /// How many names stand for a collection.
    live: usize,
    /// The last position at which any name changed.
    changed: Lsn,
    /// The names that stand for nothing since a position, in order of position.
    removed: VecDeque<(Lsn, Arc<str>)>,
    /// The highest position of a removal that was forgotten.
    forgotten: Lsn,
}

impl Writer {
    /// The names of these collections, as they were found at `position`.
    pub(super) fn new(collections: &[NamedCollection], position: Lsn) -> (Names, Self) {
        let mut root = Root::new_with_hasher_and_ptr_kind(RandomState::default());
        for (id, name) in collections {
            root.insert_mut(Arc::clone(name), Named { lsn: id.lsn, id: Some(*id) });
        }
        let names = Names { newest: (position, root.clone()), older: RedBlackTreeMapSync::new_sync() };
        let writer = Self {
            root,
            live: collections.len(),
            changed: Lsn::START,
            removed: VecDeque::new(),
            forgotten: Lsn::START,
        };
        (names, writer)
    }

    /// The collection that `name` stands for, and the position of the change that this depends on.
    pub(crate) fn newest(&self, name: &str) -> (Lsn, Option<CollectionId>) {
        match self.root.get(name) {
            Some(Named { lsn, id }) => (*lsn, *id),
            // The name may have been removed, and its removal forgotten. The removal is durable,
            // but the log may not have confirmed that yet.
            None => (self.forgotten, None),
        }
    }

    /// The position of the change that the number of collections depends on.
    pub(crate) fn changed(&self) -> Lsn {
        self.changed
    }

    /// How many collections there are.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Makes names stand for other collections, or for none, from `lsn` on. Returns what takes the
    /// place of `names` in the read view, where positions from `published` on are read. Forgets
    /// removals up to `settled`.
    pub(super) fn apply<'a>(
        &mut self,
        names: &Names,
        lsn: Lsn,
        changes: impl IntoIterator<Item = (&'a str, Option<CollectionId>)>,
        published: Lsn,
        settled: Lsn,
    ) -> Names {
        for (name, id) in changes {
            let name: Arc<str> = name.into();
            let was_live = self.newest(&name).1.is_some();
            self.live = self.live + usize::from(id.is_some()) - usize::from(was_live);
            if id.is_none() {
                self.removed.push_back((lsn, Arc::clone(&name)));
            }
            self.root.insert_mut(name, Named { lsn, id });
            self.forget(settled);
        }
        self.changed = lsn;
        let (before, root) = names.newest.clone();
        let mut older = names.older.insert(before, root);
        for _ in 0..FORGOTTEN_MAX {
            let mut oldest = older.keys().copied().take(2);
            let (Some(oldest), Some(newer)) = (oldest.next(), oldest.next()) else { break };
            if newer > published {
                break;
            }
            older.remove_mut(&oldest);
        }
        Names { newest: (lsn, self.root.clone()), older }
    }

    /// Forgets names whose removal no power cut takes back.
    fn forget(&mut self, settled: Lsn) {
        for _ in 0..FORGOTTEN_MAX {
            let is_settled = self.removed.front().is_some_and(|(lsn, _)| *lsn <= settled);
            let Some((lsn, name)) = is_settled.then(|| self.removed.pop_front()).flatten() else { return };
            if self.root.get(&name).is_some_and(|named| named.lsn == lsn && named.id.is_none()) {
                self.root.remove_mut(&name);
                self.forgotten = self.forgotten.max(lsn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(lsn: u64) -> CollectionId {
        CollectionId { lsn: Lsn(lsn), index: 0 }
    }

    /// The names of a store, changed one by one.
    struct Changing(Names, Writer);

    impl Changing {
        fn new() -> Self {
            let (names, writer) = Writer::new(&[], Lsn::START);
            Self(names, writer)
        }

        fn apply(&mut self, lsn: u64, name: &str, id: Option<CollectionId>, published: u64, settled: u64) {
            self.0 = self.1.apply(&self.0, Lsn(lsn), [(name, id)], Lsn(published), Lsn(settled));
        }
    }

    #[test]
    fn a_name_is_looked_up_at_a_position() {
        let mut names = Changing::new();
        names.apply(1, "a", Some(id(1)), 0, 0);
        names.apply(2, "a", None, 0, 0);
        names.apply(3, "a", Some(id(3)), 0, 0);
        let seen: Vec<_> = (0..4).map(|position| names.0.at("a", Lsn(position))).collect();
        assert_eq!(seen, [None, Some(id(1)), None, Some(id(3))]);
        assert!(names.0.reach_back_to(Lsn(0)), "nothing is published yet");
        assert_eq!(names.1.newest("a"), (Lsn(3), Some(id(3))));
        assert_eq!(names.1.newest("b"), (Lsn(0), None));
        assert_eq!((names.1.changed(), names.1.live()), (Lsn(3), 1));
    }

    #[test]
    fn positions_before_the_published_one_are_forgotten() {
        let mut names = Changing::new();
        for lsn in 1..100 {
            names.apply(lsn, "a", Some(id(lsn)), lsn - 1, lsn - 1);
        }
        assert_eq!(names.0.older.size(), 1, "the one that is published");
        assert_eq!(names.0.at("a", Lsn(98)), Some(id(98)));
        assert!(names.0.reach_back_to(Lsn(98)) && !names.0.reach_back_to(Lsn(97)));
    }

    #[test]
    fn many_pending_changes_are_forgotten_little_by_little() {
        const PENDING: u64 = 1000;
        let mut names = Changing::new();
        for lsn in 1..PENDING {
            names.apply(lsn, &lsn.to_string(), None, 0, 0);
        }
        for position in [0, 1, PENDING / 2, PENDING - 1] {
            assert_eq!(names.0.root(Lsn(position)).unwrap().size() as u64, position, "at {position}");
        }
        for lsn in PENDING..3 * PENDING {
            let kept = (names.0.older.size(), names.1.removed.len());
            names.apply(lsn, "a", Some(id(lsn)), lsn - 1, lsn - 1);
            let (roots, removals) = (names.0.older.size() + 1, names.1.removed.len() + FORGOTTEN_MAX);
            assert!(roots >= kept.0 && removals >= kept.1, "change {lsn} pays for many others");
            assert!(names.0.reach_back_to(Lsn(lsn - 1)), "{} is published", lsn - 1);
        }
        let kept = (names.0.older.size(), names.1.removed.len(), names.1.root.size());
        assert_eq!(kept, (1, 0, 1));
    }

    #[test]
    fn all_collections_come_in_order_of_identity() {
        let mut names = Changing::new();
        for (lsn, name) in [(1, "z"), (2, "a"), (3, "m")] {
            names.apply(lsn, name, Some(id(lsn)), 0, 0);
        }
        names.apply(4, "a", None, 0, 0);
        let all = |position| names.0.all_at(Lsn(position)).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(all(3), ["z", "a", "m"].map(Arc::from));
        assert_eq!(all(4), ["z", "m"].map(Arc::from));
        assert_eq!(names.1.live(), 2);
    }

    #[test]
    fn removed_names_are_forgotten() {
        let mut names = Changing::new();
        for round in 0..10_000 {
            let (name, lsn) = (format!("n{round}"), 2 * round + 1);
            names.apply(lsn, &name, Some(id(lsn)), lsn - 1, lsn - 1);
            names.apply(lsn + 1, &name, None, lsn, lsn);
        }
        assert!(names.1.root.size() <= 2, "{} names are kept", names.1.root.size());
        let (depends_on, id) = names.1.newest("n5");
        assert!(id.is_none() && depends_on >= Lsn(12), "it was dropped at 12, not at {depends_on}");
    }

    #[test]
    fn removed_names_are_kept_while_a_power_cut_may_bring_them_back() {
        let mut names = Changing::new();
        names.apply(1, "a", Some(id(1)), 0, 0);
        names.apply(2, "a", None, 1, 0);
        for lsn in 3..1000 {
            names.apply(lsn, &lsn.to_string(), Some(id(lsn)), lsn - 1, 0);
        }
        assert_eq!(names.1.newest("a"), (Lsn(2), None));
        assert_eq!(names.1.newest("never"), (Lsn(0), None));
    }
}
