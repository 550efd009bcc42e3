//! Printing many things: one per line, or as a JSON array with one per line.

use std::io::{self, Write};

use crate::{
    encoding::Encoding,
    failure::Failure,
    format::{write_member, write_text},
};

pub struct Listing<'a> {
    out: &'a mut dyn Write,
    json: bool,
    encoding: Encoding,
    items: u64,
}

impl<'a> Listing<'a> {
    pub fn new(out: &'a mut dyn Write, json: bool, encoding: Encoding) -> Self {
        Self { out, json, encoding, items: 0 }
    }

    /// A collection and its size.
    pub fn collection(&mut self, info: &kv_store::CollectionInfo) -> Result<(), Failure> {
        self.item(|listing| {
            if !listing.json {
                // A name is text. It is escaped so that it takes one line.
                Encoding::Plain.write(listing.out, info.name.as_bytes())?;
                return write!(listing.out, "\t{}", info.entries);
            }
            write!(listing.out, "{{\"name\":")?;
            write_text(listing.out, &info.name)?;
            write!(listing.out, ",\"entries\":{},\"bytes\":{}}}", info.entries, info.bytes)
        })
    }

    pub fn key(&mut self, key: &[u8]) -> Result<(), Failure> {
        self.item(|listing| {
            if !listing.json {
                return listing.encoding.write(listing.out, key);
            }
            write!(listing.out, "{{")?;
            write_member(listing.out, "key", key)?;
            write!(listing.out, "}}")
        })
    }

    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.item(|listing| {
            if !listing.json {
                listing.encoding.write(listing.out, key)?;
                write!(listing.out, "\t")?;
                return listing.encoding.write(listing.out, value);
            }
            write!(listing.out, "{{")?;
            write_member(listing.out, "key", key)?;
            write!(listing.out, ",")?;
            write_member(listing.out, "value", value)?;
            write!(listing.out, "}}")
        })
    }

    fn item(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<(), Failure> {
        self.items += 1;
        let written = || {
            if self.json {
                write!(self.out, "{}", if self.items == 1 { "[\n" } else { ",\n" })?;
                return write(self);
            }
            write(self)?;
            writeln!(self.out)
        };
        written().map_err(Failure::Output)
    }

    pub fn end(self) -> Result<(), Failure> {
        let written = match (self.json, self.items) {
            (false, _) => Ok(()),
            (true, 0) => writeln!(self.out, "[]"),
            (true, _) => writeln!(self.out, "\n]"),
        };
        written.map_err(Failure::Output)
    }
}
