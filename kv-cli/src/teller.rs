//! Telling people what happened, on stderr.

use std::{
    ffi::OsStr,
    fmt,
    io::{self, IsTerminal, Write},
};

use unicode_width::UnicodeWidthStr;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether a stream gets colours.
    pub fn applies_to(self, stream: &impl IsTerminal) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                stream.is_terminal()
                    && !is_set("NO_COLOR")
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }

    /// What `--color` says in arguments that clap has not parsed: its own errors have colours, too.
    pub fn in_arguments(mut arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut color = Self::default();
        while let Some(argument) = arguments.next() {
            let name = match argument.as_ref().to_str() {
                Some("--") => break,
                Some("--color") => arguments.next().and_then(|name| name.as_ref().to_str().map(str::to_owned)),
                Some(argument) => argument.strip_prefix("--color=").map(str::to_owned),
                None => None,
            };
            color = name.and_then(|name| clap::ValueEnum::from_str(&name, false).ok()).unwrap_or(color);
        }
        color
    }
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const CYAN: &str = "1;36";

/// Prints messages. Each is written in one call, so that lines of several processes do not mix.
#[derive(Clone, Copy, Debug)]
pub struct Teller {
    /// Whether only errors and warnings are told.
    quiet: bool,
    color: bool,
}

impl Teller {
    pub fn new(quiet: bool, color: Color) -> Self {
        Self { quiet, color: color.applies_to(&io::stderr()) }
    }

    /// The same, or silent about everything but errors and warnings.
    pub fn or_quiet(self, quiet: bool) -> Self {
        Self { quiet: self.quiet || quiet, ..self }
    }

    pub fn is_quiet(self) -> bool {
        self.quiet
    }

    /// What a command has done.
    pub fn report(self, line: fmt::Arguments<'_>) {
        if !self.quiet {
            write_at_once(&format!("{}\n", broken(line.to_string())));
        }
    }

    /// What the user may not expect.
    pub fn note(self, line: fmt::Arguments<'_>) {
        if !self.quiet {
            self.line(CYAN, "kv: note:", line);
        }
    }

    /// What the user should do something about.
    pub fn warn(self, line: fmt::Arguments<'_>) {
        self.line(YELLOW, "kv: warning:", line);
    }

    /// Why the command failed.
    pub fn error(self, line: fmt::Arguments<'_>) {
        self.line(RED, "kv:", line);
    }

    fn line(self, color: &str, prefix: &str, line: fmt::Arguments<'_>) {
        let text = broken(format!("{prefix} {line}"));
        let rest = text.strip_prefix(prefix).unwrap_or_default();
        write_at_once(&format!("{}{rest}\n", self.painted(color, prefix)));
    }

    /// Help, or an error in the command line, as clap has put it.
    pub fn clap(self, error: &clap::Error) {
        let text = error.render();
        match text.to_string().strip_prefix("error: ") {
            // Every error of this command begins in the same way.
            Some(reason) => self.line(RED, "kv:", format_args!("{}", reason.trim_end())),
            None => {
                let text = if self.color { text.ansi().to_string() } else { text.to_string() };
                match error.use_stderr() {
                    true => write_at_once(&text),
                    // A broken pipe: the reader has seen enough.
                    false => drop(io::stdout().write_all(text.as_bytes())),
                }
            }
        }
    }

    fn painted(self, color: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A line, broken between words where a terminal is too narrow for it.
fn wrapped(line: &str, columns: usize) -> String {
    let words = line.trim_start_matches(' ');
    let mut wrapped = line[..line.len() - words.len()].to_owned();
    let mut column = wrapped.len();
    for (number, word) in words.split(' ').enumerate() {
        let width = UnicodeWidthStr::width(word);
        if number > 0 && column + 1 + width > columns {
            wrapped.push('\n');
            column = 0;
        } else if number > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped
}

/// The text as stderr shows it best: pipes and files get it as it is.
fn broken(text: String) -> String {
    match columns() {
        Some(columns) => text.lines().map(|line| wrapped(line, columns)).collect::<Vec<_>>().join("\n"),
        None => text,
    }
}

/// How wide the terminal on stderr is; `None` if it is none.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// An error is ignored: there is no other place to report it.
fn write_at_once(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 80), "one two three");
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one two three", 3), "one\ntwo\nthree");
        assert_eq!(wrapped("日本 語", 7), "日本 語");
        assert_eq!(wrapped("日本 語", 6), "日本\n語");
        assert_eq!(wrapped("", 6), "");
        assert_eq!(wrapped("  <KEY> and more", 10), "  <KEY>\nand more", "what is indented stays so");
        assert_eq!(wrapped("a  b", 80), "a  b");
    }

    #[test]
    fn the_colour_is_found_before_the_command_line_is_understood() {
        let found = |arguments: &[&str]| Color::in_arguments(arguments.iter());
        assert_eq!(found(&["kv", "nonsense"]), Color::Auto);
        assert_eq!(found(&["kv", "--color", "always", "nonsense"]), Color::Always);
        assert_eq!(found(&["kv", "get", "--color=never"]), Color::Never);
        assert_eq!(found(&["kv", "--color=never", "--color=purple"]), Color::Never);
        assert_eq!(found(&["kv", "get", "--", "--color=never"]), Color::Auto);
        assert_eq!(found(&["kv", "--color"]), Color::Auto);
    }
}
