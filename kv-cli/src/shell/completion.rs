//! What Tab completes: commands, options, collections and keys.

use clap::CommandFactory as _;
use kv_store::Store;
use rustyline::{Context, Helper, completion::Completer, highlight::Highlighter, hint::Hinter, validate::Validator};

use super::Typed;

/// More keys than these are of no help.
const KEYS_MAX: usize = 100;

pub struct Completion {
    store: Store,
    commands: clap::Command,
}

impl Completion {
    pub fn new(store: Store) -> Self {
        Self { store, commands: Typed::command() }
    }

    /// What the last word of a line may become. `before` are the words before it.
    fn candidates(&self, before: &[String], word: &str) -> Vec<String> {
        let Some((command, arguments)) = before.split_first() else { return self.command_names(word) };
        let Some(command) = self.commands.find_subcommand(command) else { return Vec::new() };
        if word.starts_with('-') {
            return options(command, word);
        }
        let arguments: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
        let wants = |place: usize| command.get_positionals().nth(place).map(clap::Arg::get_id);
        let last = command.get_positionals().count().saturating_sub(1);
        match (wants(arguments.len().min(last)).map(clap::Id::as_str), arguments.first()) {
            (Some("collection" | "collections"), _) => self.collections(word),
            (Some("key" | "keys"), Some(collection)) => self.keys(collection, word),
            _ => Vec::new(),
        }
    }

    fn command_names(&self, word: &str) -> Vec<String> {
        let shown = self.commands.get_subcommands().filter(|command| !command.is_hide_set());
        let names = shown.map(clap::Command::get_name).chain(["help"]);
        names.filter(|name| name.starts_with(word)).map(str::to_owned).collect()
    }

    fn collections(&self, word: &str) -> Vec<String> {
        let all = self.store.collections().unwrap_or_default();
        all.into_iter().map(|info| info.name).filter(|name| name.starts_with(word)).collect()
    }

    fn keys(&self, collection: &str, word: &str) -> Vec<String> {
        let Ok(collection) = self.store.collection(collection) else { return Vec::new() };
        let found = collection.prefix(word).take(KEYS_MAX).map_while(Result::ok);
        found.filter_map(|entry| str::from_utf8(&entry.key).ok().map(str::to_owned)).collect()
    }
}

fn options(command: &clap::Command, word: &str) -> Vec<String> {
    let names = command.get_opts().filter(|option| !option.is_positional()).filter_map(clap::Arg::get_long);
    let flags = command.get_arguments().filter(|argument| !argument.is_positional()).filter_map(clap::Arg::get_long);
    let mut all: Vec<String> = names.chain(flags).map(|name| format!("--{name}")).collect();
    all.sort();
    all.dedup();
    all.retain(|name| name.starts_with(word));
    all
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let line = &line[..pos];
        let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        // A word that is quoted is not completed.
        let Some(before) = shlex::split(&line[..start]) else { return Ok((pos, Vec::new())) };
        let candidates = self.candidates(&before, &line[start..]);
        let quoted = candidates.iter().filter_map(|candidate| shlex::try_quote(candidate).ok());
        let mut words: Vec<String> = quoted.map(std::borrow::Cow::into_owned).collect();
        if let [only] = &mut words[..] {
            only.push(' '); // the next word can follow at once
        }
        Ok((start, words))
    }
}

impl Helper for Completion {}

impl Highlighter for Completion {}

impl Hinter for Completion {
    type Hint = String;
}

impl Validator for Completion {}

#[cfg(test)]
mod tests {
    use rustyline::history::DefaultHistory;

    use super::*;

    #[test]
    fn words_are_completed_by_where_they_stand() {
        let directory = tempfile::tempdir().unwrap();
        let store = kv_store::open(directory.path().join("store")).unwrap();
        for (collection, key) in [("fruit", "apple"), ("fruit", "apricot"), ("fruit", "two words"), ("food", "bread")] {
            store.collection(collection).unwrap().put(key, "").unwrap();
        }
        let completion = Completion::new(store);
        let history = DefaultHistory::new();
        let of = |line: &str| completion.complete(line, line.len(), &Context::new(&history)).unwrap();
        assert_eq!(of("expo"), (0, vec!["export ".into()]));
        assert_eq!(of("get f"), (4, vec!["food".into(), "fruit".into()]));
        assert_eq!(of("get fruit ap"), (10, vec!["apple".into(), "apricot".into()]));
        assert_eq!(of("get fruit apple tw"), (16, vec!["'two words' ".into()]));
        assert_eq!(of("scan fruit --re"), (11, vec!["--reverse ".into()]));
        assert_eq!(of("scan --reverse fr"), (15, vec!["fruit ".into()]));
        assert_eq!(of("dump fruit fo"), (11, vec!["food ".into()]));
        for nothing in ["nonsense f", "get absent ", "get 'fru", "put fruit key val", "demo-w"] {
            assert_eq!(of(nothing).1, [""; 0], "{nothing}");
        }
    }
}
