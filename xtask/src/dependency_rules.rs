//! Which crate may use which: compares the table in ARCHITECTURE.md with the manifests.
//!
//! The table has the columns `crate` and `may use`; others are ignored. Its rows are all crates of
//! the workspace, and the comparison, from the bottom to the top: a crate may use only those in
//! rows above its own. A dependency that a row allows must be used. So every new dependency needs a
//! change of the document.

use std::fs;

use crate::{
    Result,
    metadata::{self, Kind, Package},
};

/// The crate that the tests of every crate may use.
const FOR_TESTS: &str = "kv-testkit";

/// One row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    may_use: Vec<String>,
}

/// Checks the manifests against the table.
pub fn check() -> Result {
    let text = fs::read_to_string(crate::root().join("ARCHITECTURE.md"))
        .map_err(|error| format!("cannot read ARCHITECTURE.md: {error}"))?;
    let complaints = complaints(&parse(&text)?, &metadata::own_packages()?);
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn parse(document: &str) -> Result<Vec<Row>> {
    let mut tables = document.lines().map(cells).skip_while(|cells| !is_header(cells));
    let header = tables.next();
    let rows: Vec<Row> = tables
        .skip(1) // the line of dashes
        .take_while(|cells| cells.len() >= 2)
        .map(|cells| Row { name: words(cells[0]).collect(), may_use: words(cells[1]).collect() })
        .collect();
    if header.is_none() || rows.is_empty() {
        return Err("ARCHITECTURE.md has no table with the columns `crate` and `may use`".to_owned());
    }
    Ok(rows)
}

/// The cells of a row of a table; no cells for any other line.
fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    inner.map_or_else(Vec::new, |inner| inner.split('|').map(str::trim).collect())
}

fn is_header(cells: &[&str]) -> bool {
    matches!(cells, [first, second, ..]
        if words(first).eq(["crate".to_owned()]) && words(second).eq(["may".to_owned(), "use".to_owned()]))
}

/// The words of a cell, without punctuation. A cell with a dash has none.
fn words(cell: &str) -> impl Iterator<Item = String> {
    cell.split([' ', ',', '`', '*']).filter(|word| !["", "-", "–", "—"].contains(word)).map(str::to_lowercase)
}

fn complaints(rows: &[Row], packages: &[Package]) -> Vec<String> {
    let mut complaints = table_complaints(rows, packages);
    for package in packages {
        if let Some(at) = position(rows, &package.name) {
            complaints.extend(row_complaints(rows, at, package));
        }
    }
    complaints
}

/// What is wrong with the table itself.
fn table_complaints(rows: &[Row], packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages.iter().filter(|package| position(rows, &package.name).is_none()) {
        complaints.push(format!("{} is missing in the table of ARCHITECTURE.md", package.name));
    }
    for (at, Row { name, may_use }) in rows.iter().enumerate() {
        if !packages.iter().any(|package| package.name == *name) {
            complaints.push(format!(
                "the table of ARCHITECTURE.md has a row {name:?}, which is not a crate of the workspace"
            ));
        }
        for used in may_use.iter().filter(|used| position(&rows[..at], used).is_none()) {
            complaints.push(format!(
                "the table of ARCHITECTURE.md allows {name} to use {used}, which has no row above it: crates use only those in rows above"
            ));
        }
    }
    complaints
}

/// What is wrong with the dependencies of one crate.
fn row_complaints(rows: &[Row], at: usize, package: &Package) -> Vec<String> {
    let Row { name, may_use } = &rows[at];
    let own = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    let (for_tests, used): (Vec<_>, Vec<_>) = own.partition(|dependency| dependency.kind == Some(Kind::Dev));
    let mut complaints = Vec::new();
    for used in used.iter().filter(|used| !may_use.contains(&used.name)) {
        complaints.push(format!(
            "{name} -> {}: {name} uses it, but the table of ARCHITECTURE.md does not allow it",
            used.name
        ));
    }
    for unused in may_use.iter().filter(|allowed| !used.iter().any(|used| used.name == **allowed)) {
        complaints
            .push(format!("{name} -> {unused}: the table of ARCHITECTURE.md allows it, but {name} does not use it"));
    }
    for upward in for_tests.iter().filter(|used| used.name != FOR_TESTS && position(&rows[..at], &used.name).is_none())
    {
        complaints.push(format!(
            "{name} -> {} (for tests): {} has no row above {name}; tests may use only {FOR_TESTS} from below",
            upward.name, upward.name
        ));
    }
    complaints
}

fn position(rows: &[Row], name: &str) -> Option<usize> {
    rows.iter().position(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metadata::Dependency;

    const TABLE: &str = "
| what | else |
|---|---|
| x | y |

| crate | may use | holds |
|---|---|---|
| `kv-vfs` | – | files |
| `kv-core` | `kv-vfs` | the engine |
| `kv-testkit` | `kv-vfs`, `kv-core` | suites |

after
";

    fn package(name: &str, used: &[(&str, Option<Kind>)]) -> Package {
        let dependencies = used
            .iter()
            .map(|&(name, kind)| Dependency { name: name.to_owned(), kind, registry: None, path: Some(name.into()) })
            .chain([Dependency { name: "bytes".to_owned(), kind: None, registry: None, path: None }])
            .collect();
        Package {
            name: name.to_owned(),
            version: String::new(),
            license: None,
            dependencies,
            features: BTreeMap::new(),
        }
    }

    fn sound() -> Vec<Package> {
        vec![
            package("kv-vfs", &[]),
            package("kv-core", &[("kv-vfs", None), ("kv-testkit", Some(Kind::Dev))]),
            package("kv-testkit", &[("kv-vfs", None), ("kv-core", None), ("kv-core", Some(Kind::Dev))]),
        ]
    }

    #[track_caller]
    fn complains(table: &str, packages: &[Package], about: &[&str]) {
        let complaints = complaints(&parse(table).unwrap(), packages);
        assert_eq!(complaints.len(), about.len(), "{complaints:#?}");
        for (complaint, about) in complaints.iter().zip(about) {
            assert!(complaint.contains(about), "{complaint:?} says nothing of {about:?}");
        }
    }

    #[test]
    fn a_workspace_that_agrees_with_the_table_passes() {
        complains(TABLE, &sound(), &[]);
    }

    #[test]
    fn a_dependency_that_is_not_in_the_table_is_named() {
        let mut packages = sound();
        packages[0] = package("kv-vfs", &[("kv-core", Some(Kind::Build))]);
        complains(TABLE, &packages, &["kv-vfs -> kv-core"]);
    }

    #[test]
    fn an_unused_permission_is_named() {
        let mut packages = sound();
        packages[1] = package("kv-core", &[]);
        complains(TABLE, &packages, &["kv-core -> kv-vfs: the table of ARCHITECTURE.md allows it"]);
    }

    #[test]
    fn tests_may_use_only_the_testkit_from_rows_below() {
        let mut packages = sound();
        packages[0] = package("kv-vfs", &[("kv-core", Some(Kind::Dev)), ("kv-testkit", Some(Kind::Dev))]);
        complains(TABLE, &packages, &["kv-vfs -> kv-core (for tests)"]);
    }

    #[test]
    fn the_rows_are_the_crates_in_order() {
        let mut packages = sound();
        packages[2] = package("kv-new", &[]);
        let table = TABLE.replace("| `kv-vfs` | – |", "| `kv-vfs` | `kv-core` |");
        complains(
            &table,
            &packages,
            &[
                "kv-new is missing",
                "allows kv-vfs to use kv-core",
                "a row \"kv-testkit\"",
                "kv-vfs -> kv-core: the table",
            ],
        );
    }

    #[test]
    fn a_document_without_the_table_is_refused() {
        assert!(parse("| crate | knows |\n|---|---|\n| `kv-vfs` | – |\n").is_err());
        assert!(parse("| crate | may use |\n|---|---|\n").is_err());
    }
}
