use super::horizon::Visible;
use crate::Lsn;

/// The versions of a key or a name, newest first. A version without content is a tombstone: it says
/// that the key or name was deleted.
#[derive(Clone, Debug)]
pub(crate) struct Versions<T> {
    lsn: Lsn,
    content: Option<T>,
    older: Option<Box<Versions<T>>>,
}

impl<T> Versions<T> {
    pub(crate) fn new(lsn: Lsn, content: Option<T>) -> Self {
        Self { lsn, content, older: None }
    }

    /// Adds a newer version.
    pub(crate) fn push(&mut self, lsn: Lsn, content: Option<T>) {
        let older = std::mem::replace(self, Self::new(lsn, content));
        self.older = Some(Box::new(older));
    }

    /// The content of the newest version, whether it is published or not; `None` if that is a
    /// tombstone.
    pub(crate) fn newest(&self) -> Option<&T> {
        self.content.as_ref()
    }

    /// The content at `position`: `None` if there was no version yet, `Some(None)` if it was
    /// deleted.
    pub(crate) fn at(&self, position: Lsn) -> Option<Option<&T>> {
        Some(self.version_at(position)?.content.as_ref())
    }

    /// As [`at`](Versions::at), but returns the version itself, with the older ones behind it.
    pub(crate) fn version_at(&self, position: Lsn) -> Option<&Self> {
        let mut version = self;
        while version.lsn > position {
            version = version.older.as_deref()?;
        }
        Some(version)
    }

    /// Drops the older versions that no reader can see. Returns whether only the newest is left.
    /// Walks all versions.
    pub(crate) fn prune(&mut self, visible: &Visible) -> bool {
        let mut newer = &mut *self;
        while let Some(mut version) = newer.older.take() {
            if visible.is_read(version.lsn, newer.lsn) {
                newer = newer.older.insert(version);
            } else {
                newer.older = version.older.take();
            }
        }
        self.is_single()
    }

    /// The position of the newest version.
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether there are no older versions.
    pub(crate) fn is_single(&self) -> bool {
        self.older.is_none()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        std::iter::successors(Some(self), |version| version.older.as_deref()).count()
    }

    /// Whether the key or name is deleted for every reader, now and later, even after a power cut.
    pub(crate) fn is_gone(&self, visible: &Visible) -> bool {
        if self.content.is_some() || self.lsn > visible.settled() {
            return false;
        }
        let mut version = self;
        while let Some(older) = &version.older {
            if visible.is_read(older.lsn, version.lsn) {
                return false;
            }
            version = older;
        }
        true
    }
}

impl<T> Drop for Versions<T> {
    /// Unlinks the chain in a loop. The default drop recurses, and would overflow the stack on a
    /// long chain.
    fn drop(&mut self) {
        let mut older = self.older.take();
        while let Some(mut version) = older {
            older = version.older.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::horizon::Horizon;

    fn versions() -> Versions<&'static str> {
        let mut versions = Versions::new(Lsn(2), Some("two"));
        versions.push(Lsn(4), None);
        versions.push(Lsn(6), Some("six"));
        versions
    }

    #[test]
    fn each_position_sees_the_newest_version_at_or_before_it() {
        let versions = versions();
        assert_eq!(versions.at(Lsn(1)), None);
        assert_eq!(versions.at(Lsn(2)), Some(Some(&"two")));
        assert_eq!(versions.at(Lsn(5)), Some(None));
        assert_eq!(versions.at(Lsn(9)), Some(Some(&"six")));
    }

    #[test]
    fn pruning_keeps_what_can_be_seen() {
        for published in 0..9 {
            let mut pruned = versions();
            pruned.prune(&Visible::from(Lsn(published)));
            for position in published..9 {
                assert_eq!(pruned.at(Lsn(position)), versions().at(Lsn(position)), "{published}, {position}");
            }
        }
        assert!(versions().prune(&Visible::from(Lsn(6))), "only the newest is left");
        assert!(!versions().prune(&Visible::from(Lsn(5))), "an older one is needed");
    }

    #[test]
    fn pruning_drops_versions_between_readers() {
        let horizon = Horizon::default();
        horizon.publish(Lsn(2), Lsn(2));
        horizon.register();
        horizon.publish(Lsn(8), Lsn(8));
        let mut pruned = versions();
        assert!(!pruned.prune(&horizon.visible()));
        assert_eq!(pruned.at(Lsn(2)), Some(Some(&"two")));
        assert_eq!(pruned.at(Lsn(8)), Some(Some(&"six")));
        assert_eq!(pruned.at(Lsn(5)), Some(Some(&"two")), "the deletion at 4 is forgotten");
    }

    #[test]
    fn a_deleted_key_is_gone_when_nothing_sees_it() {
        let mut deleted = versions();
        deleted.push(Lsn(8), None);
        assert!(!deleted.is_gone(&Visible::from(Lsn(7))));
        assert!(deleted.is_gone(&Visible::from(Lsn(8))));
        assert!(!deleted.is_gone(&Visible::unsettled(Lsn(8))), "a power cut may bring it back");
        assert!(!versions().is_gone(&Visible::from(Lsn(9))));
    }

    #[test]
    fn a_long_chain_is_dropped_without_recursion() {
        let mut versions = Versions::new(Lsn(0), Some(0));
        for lsn in 1..1_000_000 {
            versions.push(Lsn(lsn), Some(lsn));
        }
    }
}
