use std::collections::VecDeque;

use super::{horizon::Visible, memtable::Memtable};
use crate::{CollectionId, Lsn, Value};

/// Proof that the caller is the one writer of its [`Collections`](super::Collections).
///
/// [`Collections::new`](super::Collections::new) makes a single token, and the store keeps it
/// behind the writer's lock. A function that takes the token can therefore be called only while
/// that lock is held:
///
/// - With `&WriterToken` it reads what was applied, published or not. Nothing is applied while the
///   borrow lasts.
/// - With `&mut WriterToken` it applies a change.
///
/// The token also carries the writer's own state: the keys that still hold superseded versions.
#[derive(Debug)]
pub(crate) struct WriterToken {
    pub(super) superseded: Superseded,
}

impl WriterToken {
    pub(super) fn new() -> Self {
        Self { superseded: Superseded::default() }
    }
}

/// The keys of the active memtable that have older versions as well as the newest one.
///
/// [`Memtable::apply`] reports a key when it gets its first older version. The key stays in here
/// until [`Memtable::prune`] has left only the newest one.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    /// Keys to prune once the position beside them is published, roughly in order of position.
    pub(super) queue: VecDeque<(Lsn, CollectionId, Value)>,
    /// Keys whose older versions are kept for a registered reader. They return to the queue when
    /// any reader releases its position.
    pub(super) held: Vec<(Lsn, CollectionId, Value)>,
    /// The number of releases when `held` was last moved to the queue.
    releases: u64,
}

/// How many keys each change prunes. A change supersedes at most one version, so the queue shrinks.
/// Four keys are few enough that no write takes long.
const PRUNED_AT_ONCE: usize = 4;

impl Superseded {
    /// Queues `key`, whose version at `lsn` superseded one that is still kept.
    pub(super) fn push(&mut self, lsn: Lsn, collection: CollectionId, key: Value) {
        self.queue.push_back((lsn, collection, key));
    }

    /// Drops the versions that no reader can see any more, for the next few keys in the queue.
    pub(super) fn prune(&mut self, active: &Memtable, visible: &Visible) {
        if self.releases != visible.releases() {
            self.releases = visible.releases();
            self.queue.extend(self.held.drain(..));
        }
        for _ in 0..PRUNED_AT_ONCE {
            let Some((_, collection, key)) = self.pop_published(visible) else { return };
            match active.prune(collection, &key, visible) {
                Some(newest) if newest > visible.published() => self.queue.push_back((newest, collection, key)),
                Some(newest) => self.held.push((newest, collection, key)),
                None => {}
            }
        }
    }

    /// The first key of the queue, if its position is published.
    fn pop_published(&mut self, visible: &Visible) -> Option<(Lsn, CollectionId, Value)> {
        let (lsn, ..) = self.queue.front()?;
        if *lsn <= visible.published() { self.queue.pop_front() } else { None }
    }
}
