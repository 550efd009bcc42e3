//! SPDX licence expressions.

use crate::Result;

/// Whether the licences `allowed` suffice to use a package with the licence `expression`.
pub fn is_satisfied(expression: &str, allowed: &[String]) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR "); // the slash is an older OR
    let mut tokens = Tokens { words: spaced.split_whitespace().collect(), at: 0 };
    match (tokens.alternatives(allowed), tokens.peek()) {
        (Some(satisfied), None) => Ok(satisfied),
        _ => Err(format!("cannot understand the licence expression {expression:?}")),
    }
}

struct Tokens<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let taken = self.peek() == Some(word);
        self.at += usize::from(taken);
        taken
    }

    fn alternatives(&mut self, allowed: &[String]) -> Option<bool> {
        let mut satisfied = self.conjunction(allowed)?;
        while self.take("OR") {
            satisfied |= self.conjunction(allowed)?;
        }
        Some(satisfied)
    }

    fn conjunction(&mut self, allowed: &[String]) -> Option<bool> {
        let mut satisfied = self.one(allowed)?;
        while self.take("AND") {
            satisfied &= self.one(allowed)?;
        }
        Some(satisfied)
    }

    fn one(&mut self, allowed: &[String]) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.alternatives(allowed)?;
            return self.take(")").then_some(satisfied);
        }
        let mut licence = self.name()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        Some(allowed.contains(&licence))
    }

    fn name(&mut self) -> Option<&'a str> {
        let name = self.peek().filter(|word| !["(", ")", "OR", "AND", "WITH"].contains(word))?;
        self.at += 1;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alternative_is_enough_and_a_conjunction_needs_all() {
        let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
        let satisfied = |expression| is_satisfied(expression, &allowed);
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "Apache-2.0/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT OR Apache-2.0 AND GPL-3.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert_eq!(satisfied(good), Ok(true), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND GPL-3.0", "MIT WITH LLVM-exception"] {
            assert_eq!(satisfied(bad), Ok(false), "{bad}");
        }
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "WITH MIT", "MIT WITH OR"] {
            assert!(satisfied(broken).is_err(), "{broken}");
        }
    }
}
