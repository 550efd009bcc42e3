//! The lines of a shell: typed, with history and completion, or from a script.

use std::{
    fs,
    io::{self, BufRead},
    path::PathBuf,
};

use kv_store::Store;
use rustyline::{Config, Editor, error::ReadlineError, history::FileHistory};

use super::{completion::Completion, is_typed};
use crate::{
    env::Env,
    failure::{Context, Failure},
};

const HISTORY_LINES_MAX: usize = 1_000;

pub enum Lines {
    Typed(Box<Editor<Completion, FileHistory>>),
    Script { number: u64 },
}

impl Lines {
    pub fn new(store: &Store) -> Result<Self, Failure> {
        if !is_typed() {
            return Ok(Self::Script { number: 0 });
        }
        let config = Config::builder()
            .auto_add_history(true)
            .history_ignore_space(true)
            .max_history_size(HISTORY_LINES_MAX)
            .map_err(io::Error::other)
            .doing(cannot_edit)?
            .completion_type(rustyline::CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other).doing(cannot_edit)?;
        editor.set_helper(Some(Completion::new(store.clone())));
        if let Some(file) = history_file() {
            // There is none before the first time.
            let _ = editor.load_history(&file);
        }
        Ok(Self::Typed(Box::new(editor)))
    }

    pub fn is_interactive(&self) -> bool {
        matches!(self, Self::Typed(_))
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self, prompt: &str) -> Result<Option<String>, Failure> {
        match self {
            Self::Typed(editor) => loop {
                match editor.readline(prompt) {
                    Ok(text) => return Ok(Some(text)),
                    Err(ReadlineError::Interrupted) => {} // Ctrl-C forgets the line
                    Err(ReadlineError::Eof) => return Ok(None),
                    Err(error) => return Err(io::Error::other(error)).doing(cannot_edit),
                }
            },
            Self::Script { number } => {
                let mut text = String::new();
                let bytes = io::stdin().lock().read_line(&mut text).doing(|| "cannot read stdin".into())?;
                *number += 1;
                Ok((bytes > 0).then_some(text))
            }
        }
    }

    /// Tells why a line failed, and goes on. A script ends with the failure.
    pub fn failed(&self, env: &Env<'_>, failure: Failure) -> Result<(), Failure> {
        if matches!((self, &failure), (Self::Script { .. }, _) | (_, Failure::Output(_))) {
            return Err(failure);
        }
        if let Some(line) = failure.line() {
            env.teller.error(format_args!("{line}"));
        }
        Ok(())
    }

    /// The failure with which the shell ends.
    pub fn placed(&self, failure: Failure) -> Failure {
        match self {
            Self::Typed(_) => failure,
            Self::Script { number } => failure.at(&format!("line {number}")),
        }
    }

    /// Keeps what was typed for the next time.
    pub fn save(&mut self) {
        let Self::Typed(editor) = self else { return };
        let Some(file) = history_file() else { return };
        // Without it the shell works as well.
        let _ = file.parent().map(fs::create_dir_all);
        let _ = editor.save_history(&file);
    }
}

fn cannot_edit() -> String {
    "cannot read from the terminal".into()
}

fn history_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("kv/history"))
}
