use crate::Lsn;

/// The versions of one thing, newest first. `None` in the place of a content says that the thing was deleted.
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

    /// Puts a newer version before the others.
    pub(crate) fn push(&mut self, lsn: Lsn, content: Option<T>) {
        let older = std::mem::replace(self, Self::new(lsn, content));
        self.older = Some(Box::new(older));
    }

    /// The newest version, whether it can be seen yet or not.
    pub(crate) fn newest(&self) -> Option<&T> {
        self.content.as_ref()
    }

    /// The version that is seen at `position`: `None` if there is none that old, `Some(None)` if the thing was deleted then.
    pub(crate) fn at(&self, position: Lsn) -> Option<Option<&T>> {
        let mut version = self;
        while version.lsn > position {
            version = version.older.as_deref()?;
        }
        Some(version.content.as_ref())
    }

    /// Drops the versions that nobody can see who reads at `oldest_visible` or later, and says whether only one is left.
    pub(crate) fn prune(&mut self, oldest_visible: Lsn) -> bool {
        let mut version = &mut *self;
        while version.lsn > oldest_visible {
            match version.older.as_deref_mut() {
                Some(older) => version = older,
                None => return self.older.is_none(),
            }
        }
        version.older = None;
        self.older.is_none()
    }

    /// Whether the thing is deleted for everybody who reads at `oldest_visible` or later.
    pub(crate) fn is_gone(&self, oldest_visible: Lsn) -> bool {
        self.lsn <= oldest_visible && self.content.is_none()
    }
}

impl<T> Drop for Versions<T> {
    /// Unlinks the chain in a loop: a long one would overflow the stack otherwise.
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
        for oldest_visible in 0..9 {
            let mut pruned = versions();
            pruned.prune(Lsn(oldest_visible));
            for position in oldest_visible..9 {
                assert_eq!(pruned.at(Lsn(position)), versions().at(Lsn(position)), "{oldest_visible}, {position}");
            }
        }
        assert!(versions().prune(Lsn(6)), "only the newest is left");
        assert!(!versions().prune(Lsn(5)), "an older one is needed");
    }

    #[test]
    fn a_long_chain_is_dropped_without_recursion() {
        let mut versions = Versions::new(Lsn(0), Some(0));
        for lsn in 1..1_000_000 {
            versions.push(Lsn(lsn), Some(lsn));
        }
    }
}
