//! The table of seeded bugs.

use std::{collections::HashSet, fmt, fs, path::Path};

use serde::Deserialize;

use super::selection::Selection;
use crate::Result;

/// A bug that is put into the real code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    pub name: String,
    /// What goes wrong, and in which known system it did.
    why: String,
    /// The file, from the root of the workspace.
    pub file: String,
    /// A text that must occur in the file exactly once.
    find: String,
    /// The text that replaces it.
    replace: String,
    /// The tests that should notice.
    pub test: Selection,
    /// Whether a quick run tries it, too.
    #[serde(default)]
    pub quick: bool,
    /// If the tests are expected to hang: after how many seconds this counts as a hang.
    pub hangs_after_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutant: Vec<Mutant>,
}

impl Mutant {
    /// The text of the file with the bug in it.
    pub fn edit(&self, text: &str) -> Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            times => Err(format!("its text occurs {times} times in {} instead of once", self.file)),
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, why, file, test, .. } = self;
        write!(f, "{name}\n    {}\n    {file}; tests: {test}", why.trim())
    }
}

/// All tables of a folder, in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<Mutant>> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut mutants = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        mutants.extend(parse(&text).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    let mut names = HashSet::new();
    match mutants.iter().find(|mutant| !names.insert(&mutant.name)) {
        Some(twice) => Err(format!("two mutants are named {:?}", twice.name)),
        None => Ok(mutants),
    }
}

fn parse(table: &str) -> Result<Vec<Mutant>> {
    toml::from_str::<Table>(table).map(|table| table.mutant).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
[[mutant]]
name = 'no_flush'
why = 'says so before it is so'
file = 'a.rs'
find = '''
    flush(one);
    flush(two);
'''
replace = '''
    flush(one);
'''
test = 'kv-wal it crash:: calls::'
";

    #[test]
    fn a_text_is_replaced_that_occurs_exactly_once() {
        let [mutant] = &parse(TABLE).unwrap()[..] else { panic!("one mutant") };
        let text = "fn f() {\n    flush(one);\n    flush(two);\n}\n";
        assert_eq!(mutant.edit(text).unwrap(), "fn f() {\n    flush(one);\n}\n");
        assert_eq!(mutant.edit("").unwrap_err(), "its text occurs 0 times in a.rs instead of once");
        let twice = format!("{text}{text}");
        assert_eq!(mutant.edit(&twice).unwrap_err(), "its text occurs 2 times in a.rs instead of once");
    }

    #[test]
    fn a_field_that_is_missing_or_unknown_is_an_error() {
        assert!(parse(&TABLE.replace("why", "because")).is_err());
        assert!(parse(&format!("{TABLE}\nslow = true")).is_err());
        assert!(parse(&TABLE.replace("kv-wal it crash:: calls::", "kv-wal")).is_err(), "no test binary is named");
    }

    #[test]
    fn the_texts_of_the_table_are_where_it_says() {
        let root = crate::root();
        let mutants = read_all(&root.join("xtask/mutants")).unwrap();
        for mutant in &mutants {
            let text = fs::read_to_string(root.join(&mutant.file)).unwrap();
            let edited = mutant.edit(&text).unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
            assert_ne!(edited, text, "{} changes nothing", mutant.name);
        }
        assert!(mutants.iter().any(|mutant| mutant.quick));
    }
}
