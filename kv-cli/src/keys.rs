//! Which keys a command works on.

use std::{ffi::OsString, ops::Bound};

use crate::{encoding::Encoding, failure::Failure};

/// The options that choose a range of keys. Together they choose what is in all of them.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RangeArgs {
    /// Only keys that begin with these bytes
    #[arg(long, value_name = "P")]
    prefix: Option<OsString>,
    /// Only this key and those above it
    #[arg(long, value_name = "KEY")]
    from: Option<OsString>,
    /// Only keys below this one
    #[arg(long, value_name = "KEY")]
    to: Option<OsString>,
}

impl RangeArgs {
    /// Whether no option was given: all keys are chosen.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_none() && self.from.is_none() && self.to.is_none()
    }

    pub fn range(&self, encoding: Encoding) -> Result<Range, Failure> {
        let decoded = |what, argument: &Option<OsString>| {
            argument.as_deref().map(|argument| encoding.argument(what, argument)).transpose()
        };
        let prefix = decoded("prefix", &self.prefix)?;
        let from = decoded("key", &self.from)?;
        let to = decoded("key", &self.to)?;
        let above = prefix.as_deref().and_then(successor);
        Ok(Range {
            lower: from.max(prefix).map_or(Bound::Unbounded, Bound::Included),
            upper: match (to, above) {
                (Some(to), Some(above)) => Bound::Excluded(to.min(above)),
                (to, above) => to.or(above).map_or(Bound::Unbounded, Bound::Excluded),
            },
        })
    }
}

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
}

impl Range {
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.lower.as_ref().map(Vec::as_slice), self.upper.as_ref().map(Vec::as_slice))
    }
}

/// The lowest bytes above everything that begins with `prefix`; `None` if there are none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut successor = prefix[..=last].to_vec();
    successor[last] += 1;
    Some(successor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(prefix: Option<&str>, from: Option<&str>, to: Option<&str>) -> Range {
        let [prefix, from, to] = [prefix, from, to].map(|text| text.map(Into::into));
        RangeArgs { prefix, from, to }.range(Encoding::Escaped).unwrap()
    }

    #[test]
    fn a_range_is_what_all_options_choose() {
        let keys = ["a", "b", "b1", "b2", "c"];
        let chosen = |prefix, from, to| {
            let range = range(prefix, from, to);
            let is_in = |key: &&&str| std::ops::RangeBounds::<[u8]>::contains(&range.bounds(), key.as_bytes());
            keys.iter().filter(is_in).copied().collect::<Vec<_>>()
        };
        assert_eq!(chosen(None, None, None), keys);
        assert_eq!(chosen(Some("b"), None, None), ["b", "b1", "b2"]);
        assert_eq!(chosen(Some("b"), Some("b1"), None), ["b1", "b2"]);
        assert_eq!(chosen(Some("b"), Some("a"), Some("b2")), ["b", "b1"]);
        assert_eq!(chosen(Some("b"), None, Some("z")), ["b", "b1", "b2"]);
        assert_eq!(chosen(None, Some("b2"), Some("c")), ["b2"]);
        assert_eq!(chosen(None, Some("c"), Some("b")), [""; 0]);
    }

    #[test]
    fn nothing_is_above_the_highest_prefix() {
        assert_eq!(successor(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(successor(b"\xff\xff"), None);
        assert_eq!(successor(b""), None);
        assert_eq!(range(Some(r"\xff"), None, None).upper, Bound::Unbounded);
    }
}
