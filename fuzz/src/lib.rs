//! Hostile bytes for every decoder of kv.
//!
//! A *target* is a function that takes any bytes as what a decoder is given, and panics if the decoder does anything but decode them or
//! refuse them with an error that names a place in the file. It also checks what must hold for whatever is decoded: that it comes back when
//! it is written again, that two ways to read agree, that what verifies opens. The same functions run in `cargo test`, over the corpus in
//! `corpus/` and mutations of it, and under libFuzzer: `cargo xtask fuzz`.
//!
//! Checksums would stop nearly every input at the door. So the targets make them right again, by code of their own, and the decoders see what
//! an attacker could give them who knows the format.
//!
//! Targets reach the decoders through what the crates publish: a decoder that nobody can reach cannot be attacked. The rows of import are a
//! part of a command, which publishes nothing; their module is compiled into this crate.

#![forbid(unsafe_code)]

mod disk;
#[cfg_attr(not(test), expect(dead_code, reason = "the command and its tests use more of it"))]
#[expect(unused_imports, reason = "the command uses more of it")]
#[path = "../../kv-cli/src/format/mod.rs"]
mod format;
mod format_file;
mod idle;
mod log;
mod manifest;
mod operation;
mod part;
mod rows;
mod verdict;

pub mod mutation;

/// A decoder under attack.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line, and the folder of its corpus.
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn(&'static str) -> Vec<Seed>,
    heavy: fn(&'static str) -> Vec<Heavy>,
}

/// A sound input, and what it is called.
pub type Seed = (String, Vec<u8>);

/// An input of some mebibytes that makes a decoder take as much memory as its format allows.
pub struct Heavy {
    /// What is in it.
    pub what: &'static str,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// Decodes it, and does nothing else that takes memory.
    pub decode: Box<dyn FnOnce()>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", run: log::frame, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "segment", run: log::segment, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "log", run: log::log, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "start", run: log::start, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "mark", run: log::mark, seeds: log::seeds::seeds, heavy: log::heavy },
    Target { name: "format", run: format_file::format, seeds: format_file::seeds, heavy: none },
    Target { name: "part", run: part::part, seeds: part::seeds::seeds, heavy: part::heavy },
    Target { name: "index", run: part::index, seeds: part::seeds::seeds, heavy: part::heavy },
    Target { name: "manifest", run: manifest::manifest, seeds: manifest::seeds, heavy: manifest::heavy },
    Target { name: "operation", run: operation::operation, seeds: operation::seeds, heavy: operation::heavy },
    Target { name: "tsv", run: rows::tsv, seeds: rows::seeds, heavy: rows::heavy },
    Target { name: "csv", run: rows::csv, seeds: rows::seeds, heavy: rows::heavy },
    Target { name: "jsonl", run: rows::jsonl, seeds: rows::seeds, heavy: rows::heavy },
];

impl Target {
    /// Gives the decoder these bytes.
    ///
    /// # Panics
    /// If it does anything that it must not.
    pub fn run(&self, input: &[u8]) {
        (self.run)(input);
    }

    /// Inputs that are sound, by name: what the corpus began with.
    pub fn seeds(&self) -> Vec<Seed> {
        (self.seeds)(self.name)
    }

    /// Inputs that take much memory.
    pub fn heavy(&self) -> Vec<Heavy> {
        (self.heavy)(self.name)
    }
}

/// For a decoder that reads a file of a fixed length.
fn none(_: &str) -> Vec<Heavy> {
    Vec::new()
}

/// Gives these bytes to the target of that name.
///
/// # Panics
/// If there is none, or the decoder does anything that it must not.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("there is no target {name:?}")).run(input);
}
