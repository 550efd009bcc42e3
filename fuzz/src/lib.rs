//! Hostile bytes for every decoder of kv.
//!
//! A *target* is a function that feeds any bytes to a decoder. It panics unless the decoder either
//! decodes them or refuses them with an error that names a place in the file. It also checks what
//! must hold for everything that is decoded: writing it again gives the same bytes, two ways to
//! read agree, and what verifies opens. The same functions run in `cargo test`, over the corpus in
//! `corpus/` and mutations of it, and under libFuzzer: `cargo xtask fuzz`.
//!
//! A checksum would reject nearly every input at once. So the targets have code of their own that
//! corrects the checksums. The decoders then see what an attacker could give them who knows the
//! format.
//!
//! Targets reach the decoders through the public interfaces of the crates: a decoder that cannot be
//! reached cannot be attacked. The readers of import rows belong to a command, which has no public
//! interface, so their module is compiled into this crate.

#![forbid(unsafe_code)]

mod assertions;
// An inline module, so that the modules of `format` are looked for beside it.
#[path = "../../kv-cli/src"]
mod cli {
    #[cfg_attr(not(test), expect(dead_code, reason = "the command and its tests use more of it"))]
    #[expect(unused_imports, reason = "the command uses more of it")]
    pub(crate) mod format;
    mod near;
}
mod disk;
mod format_file;
mod import_rows;
mod log;
mod manifest;
mod noop_scheduler;
mod operation;
mod origin_file;
mod part;

pub mod mutation;

use cli::format;

/// A decoder under attack.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line, and the folder of its corpus.
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn(&'static str) -> Vec<Seed>,
    heavy: fn(&'static str) -> Vec<Heavy>,
}

/// The name of a valid input, and its bytes.
pub type Seed = (String, Vec<u8>);

/// An input of several mebibytes that makes a decoder allocate as much as its format allows.
pub struct Heavy {
    /// What is in it.
    pub what: &'static str,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// Decodes it, and allocates nothing else.
    pub decode: Box<dyn FnOnce()>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", run: log::frame, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "segment", run: log::segment, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "log", run: log::log, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "start", run: log::start, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "mark", run: log::mark, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "format", run: format_file::format, seeds: format_file::seeds, heavy: none },
    Target { name: "origin", run: origin_file::origin, seeds: origin_file::seeds, heavy: none },
    Target { name: "part", run: part::part, seeds: part::seeds::seeds, heavy: part::heavy },
    Target { name: "index", run: part::index, seeds: part::seeds::seeds, heavy: part::heavy },
    Target { name: "manifest", run: manifest::manifest, seeds: manifest::seeds, heavy: manifest::heavy },
    Target { name: "operation", run: operation::operation, seeds: operation::seeds, heavy: operation::heavy },
    Target { name: "tsv", run: import_rows::tsv, seeds: import_rows::seeds, heavy: import_rows::heavy },
    Target { name: "csv", run: import_rows::csv, seeds: import_rows::seeds, heavy: import_rows::heavy },
    Target { name: "json", run: import_rows::json, seeds: import_rows::seeds, heavy: import_rows::heavy },
    Target { name: "jsonl", run: import_rows::jsonl, seeds: import_rows::seeds, heavy: import_rows::heavy },
];

impl Target {
    /// Feeds these bytes to the decoder.
    ///
    /// # Panics
    /// If the decoder does anything that it must not.
    pub fn run(&self, input: &[u8]) {
        (self.run)(input);
    }

    /// Valid inputs, by name: what the corpus began with.
    pub fn seeds(&self) -> Vec<Seed> {
        (self.seeds)(self.name)
    }

    /// Inputs that need much memory.
    pub fn heavy(&self) -> Vec<Heavy> {
        (self.heavy)(self.name)
    }
}

/// For a decoder that reads a file of a fixed length.
fn none(_: &str) -> Vec<Heavy> {
    Vec::new()
}

/// Feeds these bytes to the target of that name.
///
/// # Panics
/// If there is no such target, or the decoder does anything that it must not.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("there is no target {name:?}")).run(input);
}
