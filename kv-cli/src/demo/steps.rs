use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use crate::{failure::Failure, output::duration};

/// Runs steps, and prints each with the time that it took.
pub struct Steps<'a> {
    out: &'a mut dyn Write,
    dir: &'a Path,
    count: u32,
    time: Duration,
}

impl<'a> Steps<'a> {
    pub fn begin(out: &'a mut dyn Write, dir: &'a Path) -> Result<Self, Failure> {
        let mut steps = Self { out, dir, count: 0, time: Duration::ZERO };
        steps.print(&format!("The demo of kv, in {}\n", dir.display()))?;
        Ok(steps)
    }

    /// Runs a step. It returns something for later steps, and a phrase that says what it did. The
    /// phrase should have at most 53 columns, so that the line fits into 80.
    pub fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<(T, String), Failure>) -> Result<T, Failure> {
        let started = Instant::now();
        let (result, text) = step()?;
        let time = started.elapsed();
        self.count += 1;
        self.time += time;
        self.print(&format!("{:3}  {name:10} {:>9}  {text}", self.count, duration(time)))?;
        Ok(result)
    }

    pub fn end(&mut self) -> Result<(), Failure> {
        let total = duration(self.time);
        self.print(&format!("\nEvery check passed, in {total}. The store stays in {}. Try:\n", self.dir.display()))?;
        let program = std::env::args_os().next().unwrap_or_else(|| "kv".into());
        let kv = format!("{} --dir {}", quoted(&program.to_string_lossy()), quoted(&self.dir.to_string_lossy()));
        for command in [
            "list",
            "get unicode U+1F600",
            "list unicode --prefix U+1F60 --limit 5",
            "put unicode U+1F600 'in my own words'",
            "delete unicode U+1F600",
            "export unicode --format tsv | head -3",
            "stats",
            "verify",
        ] {
            self.print(&format!("  {kv} {command}"))?;
        }
        Ok(())
    }

    /// Prints a line, and flushes it.
    fn print(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").and_then(|()| self.out.flush()).map_err(Failure::Output)
    }
}

/// A word, quoted so that a shell takes it as one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("target/release/kv"), "target/release/kv");
        assert_eq!(quoted("my kv"), "'my kv'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
