//! Names that are near to one that was not found.

/// The candidate that a typing error may have meant; `None` if none is near.
pub fn nearest<'c>(wanted: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let near = candidates.filter(|candidate| *candidate != wanted).filter_map(|candidate| {
        let distance = distance(wanted, candidate);
        (distance <= allowed(wanted)).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

/// How many typing errors a name of this length may have.
fn allowed(wanted: &str) -> usize {
    match wanted.chars().count() {
        ..=1 => 0,
        2..=5 => 1,
        6..=11 => 2,
        _ => 3,
    }
}

/// How many typing errors lie between two names. Case does not count.
fn distance(wanted: &str, candidate: &str) -> usize {
    // A long key takes long to compare, and is not typed.
    const LEN_MAX: usize = 200;
    if wanted.len() > LEN_MAX || wanted.len().abs_diff(candidate.len()) > 2 * allowed(wanted) {
        return usize::MAX;
    }
    if wanted.to_lowercase() == candidate.to_lowercase() { 0 } else { strsim::osa_distance(wanted, candidate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near_and_other_names_are_not() {
        let names = ["users", "user-visits", "Countries", "é", "a"];
        let found = |wanted| nearest(wanted, names.into_iter());
        assert_eq!(found("usres"), Some("users"));
        assert_eq!(found("user"), Some("users"));
        assert_eq!(found("countries"), Some("Countries"));
        assert_eq!(found("user-vists"), Some("user-visits"));
        assert_eq!(found("visits"), None);
        assert_eq!(found("b"), None);
        assert_eq!(found("users"), None, "the same name is not suggested");
        assert_eq!(nearest("x", std::iter::empty()), None);
        assert_eq!(nearest(&"x".repeat(1_000), [&*"x".repeat(1_001)].into_iter()), None);
    }
}
