//! Words and phrases that we do not use.

use std::{cell::LazyCell, fs, ops::Range, path::Path};

use serde::Deserialize;

use super::prose::Block;
use crate::Result;

/// The list of `xtask/tidy/words.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    word: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// Whole words, in lower case; found in any case, and where a phrase is wrapped.
    find: Vec<String>,
    /// What to write instead.
    r#use: String,
    /// Why.
    reason: Option<String>,
    /// Beginnings of paths. If there are any, the words are looked for only there.
    #[serde(default)]
    only_in: Vec<String>,
    /// Beginnings of paths where the words have another sense.
    #[serde(default)]
    except_in: Vec<String>,
    /// Phrases in which the words have another sense.
    #[serde(default)]
    except_as: Vec<String>,
}

impl Words {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The words in a block that are on the list, with their lines.
    pub fn check(&self, path: &str, block: &Block) -> Vec<(usize, String)> {
        let text = block.text();
        let lower_case = text.to_lowercase();
        let tokens = LazyCell::new(|| tokens(&text));
        let mut found = Vec::new();
        for word in self.word.iter().filter(|word| word.is_about(path)) {
            // Most blocks have none of the words, and are not split into tokens.
            let present = |phrase: &&String| phrase.split(' ').all(|part| lower_case.contains(part));
            for phrase in word.find.iter().filter(present) {
                let places = occurrences(&tokens, phrase).filter(|place| !word.is_excepted(&tokens, place));
                found.extend(places.map(|place| (block.line_at(&text, place.start), word.message(&text[place]))));
            }
        }
        found
    }
}

impl Word {
    fn is_about(&self, path: &str) -> bool {
        let begins = |beginning: &String| path.starts_with(beginning.as_str());
        (self.only_in.is_empty() || self.only_in.iter().any(begins)) && !self.except_in.iter().any(begins)
    }

    /// Whether the place lies in a phrase that is excepted.
    fn is_excepted(&self, tokens: &[Token<'_>], place: &Range<usize>) -> bool {
        let holds = |around: Range<usize>| around.start <= place.start && place.end <= around.end;
        self.except_as.iter().any(|phrase| occurrences(tokens, phrase).any(holds))
    }

    fn message(&self, found: &str) -> String {
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("\"{found}\": write {} instead{reason}; see xtask/tidy/words.toml", self.r#use)
    }
}

/// A word of a text.
struct Token<'a> {
    /// Where it begins, in bytes.
    at: usize,
    text: &'a str,
    lower_case: String,
    /// Whether only space separates this word from the one before.
    follows: bool,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether the token is that word or its genitive.
    fn is(&self, word: &str) -> bool {
        self.lower_case.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest == "'s")
    }
}

/// The words of a text. A name with underscores is one word, and so is one with hyphens.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let is_part = |c: char| c.is_alphanumeric() || ['_', '-', '\''].contains(&c);
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches(['-', '\''])).filter(|word| !word.is_empty());
    let mut end = 0;
    let mut tokens = Vec::new();
    for word in words {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        let follows = text[end..at].chars().all(char::is_whitespace);
        end = at + word.len();
        tokens.push(Token { at, text: word, lower_case: word.to_lowercase(), follows });
    }
    tokens
}

/// Where the words of a phrase follow one another, in bytes.
fn occurrences<'a>(tokens: &'a [Token<'a>], phrase: &'a str) -> impl Iterator<Item = Range<usize>> {
    let words: Vec<&str> = phrase.split(' ').collect();
    tokens.windows(words.len()).filter_map(move |window| {
        let is_it = window.iter().zip(&words).all(|(token, word)| token.is(word))
            && window[1..].iter().all(|token| token.follows);
        is_it.then(|| window[0].at..window[words.len() - 1].end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{File, prose};

    const NOWHERE: [usize; 0] = [];

    const LIST: &str = "
[[word]]
find = ['zounds', 'odd bodkins']
use = '\"well\"'
reason = 'it is no longer 1600'
except_in = ['docs/history']
except_as = ['the word zounds', 'zounds of']

[[word]]
find = ['gadget']
use = 'memtable'
only_in = ['kv-core/']
";

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let words = Words::parse(LIST).unwrap();
        let file = File { path: path.to_owned(), text: text.to_owned() };
        prose::blocks(&file).iter().flat_map(|block| words.check(path, block)).collect()
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        found(path, text).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_listed_word_is_named_with_what_to_use() {
        let expected = "\"Zounds\": write \"well\" instead (it is no longer 1600); see xtask/tidy/words.toml";
        assert_eq!(found("a.md", "\nZounds!"), [(2, expected.to_owned())]);
    }

    #[test]
    fn comments_literals_and_markdown_are_looked_at_and_code_is_not() {
        assert_eq!(lines("a.rs", "//! zounds\nlet zounds = \"a\nzounds\\n\"; // zounds"), [1, 3, 3]);
        assert_eq!(lines("a.rs", "/// `zounds` [`zounds`]\n/// ```\n/// zounds\n/// ```"), NOWHERE);
        assert_eq!(lines("a.md", "| zounds |\n\n```\nzounds\n```"), [1]);
    }

    #[test]
    fn only_whole_words_and_phrases_are_found() {
        assert_eq!(lines("a.md", "zoundsman, un-zounds, zounds_it, odd, bodkins; odd `x` bodkins"), NOWHERE);
        assert_eq!(lines("a.md", "zounds's (ZOUNDS) -- zounds.\nodd\nbodkins"), [1, 1, 1, 2]);
        assert_eq!(lines("a.rs", "// odd\n// bodkins"), [1]);
    }

    #[test]
    fn exceptions_are_paths_and_phrases() {
        assert_eq!(lines("docs/history.md", "zounds"), NOWHERE);
        assert_eq!(lines("a.md", "The word\nzounds, the zounds of old. The zounds"), [2]);
        assert_eq!(lines("kv-core/src/lib.rs", "// gadget"), [1]);
        assert_eq!(lines("kv-wal/src/lib.rs", "// gadget"), NOWHERE);
    }

    #[test]
    fn the_list_is_well_formed() {
        let words = Words::read(&crate::root().join("xtask/tidy/words.toml")).unwrap();
        assert!(words.word.iter().all(|word| !word.find.is_empty() && !word.r#use.is_empty()));
        let phrases = words.word.iter().flat_map(|word| word.find.iter().chain(&word.except_as));
        phrases.for_each(|phrase| assert_eq!(*phrase, phrase.to_lowercase()));
        assert!(Words::parse("[[word]]\nfind = ['a']\nuse = 'b'\nexpect_in = []").is_err(), "a misspelt field");
    }
}
