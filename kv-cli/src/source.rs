//! The file that a command reads: opened, unpacked, and with a progress bar.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{env::Env, failure::Failure, interrupt::Interrupt, zstd::ZstdDecoder};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Packing {
    /// Not at all
    None,
    /// With gzip
    Gz,
    /// With zstd
    Zst,
}

/// A file that is opened for reading.
pub struct Source {
    /// Its name in messages.
    pub name: String,
    input: Box<dyn Read>,
    /// Its length in bytes, if that is known.
    bytes: Option<u64>,
}

impl Source {
    /// Opens a file; `-` is stdin.
    pub fn open(env: &Env<'_>, file: &Path, interrupt: &Interrupt) -> Result<Self, Failure> {
        if file == Path::new("-") {
            env.must_have_stdin()?;
            return Ok(Self { name: "stdin".into(), input: Box::new(interrupt.stdin()), bytes: None });
        }
        let name = file.display().to_string();
        let open = || {
            let input = File::open(file)?;
            let metadata = input.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok((input, metadata.is_file().then_some(metadata.len())))
        };
        let (input, bytes) = open().map_err(|source| cannot_read(&name, source))?;
        Ok(Self { name, input: Box::new(input), bytes })
    }

    /// The content, unpacked.
    pub fn content(self, packing: Option<Packing>, bar: &ProgressBar) -> Result<Box<dyn BufRead>, Failure> {
        let mut input = BufReader::with_capacity(64 << 10, bar.wrap_read(self.input));
        let unpacked = || -> io::Result<Box<dyn BufRead>> {
            match packing {
                Some(Packing::Gz) => Ok(Box::new(BufReader::new(MultiGzDecoder::new(input)))),
                Some(Packing::Zst) => Ok(Box::new(BufReader::new(ZstdDecoder::new(input)))),
                Some(Packing::None) => Ok(Box::new(input)),
                None => match packed(input.fill_buf()?) {
                    Some(reason) => Err(io::Error::other(reason)),
                    None => Ok(Box::new(input)),
                },
            }
        };
        unpacked().map_err(|source| cannot_read(&self.name, source))
    }

    /// A progress bar, which is not shown yet.
    pub fn progress_bar(&self) -> ProgressBar {
        let template = match self.bytes {
            Some(_) => "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(self.bytes, ProgressDrawTarget::hidden()).with_style(style)
    }
}

/// Shows a progress bar if stderr is a terminal. Until it is cleared, nothing else may be told.
pub fn show(bar: &ProgressBar, is_quiet: bool) {
    if !is_quiet && io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
}

/// The packing that a name ends with, and the rest of the name.
pub fn packing_of(file: &Path) -> (Option<Packing>, &Path) {
    let packing = match file.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
        Some("gz") => Packing::Gz,
        Some("zst" | "zstd") => Packing::Zst,
        _ => return (None, file),
    };
    (Some(packing), file.file_stem().map_or(file, Path::new))
}

/// Why content that begins with these bytes is not what it is taken for.
fn packed(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, 8, ..] => {
            Some("it is packed with gzip; --packed gz unpacks it, and --packed none takes it as it is")
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Some("it is packed with zstd; --packed zst unpacks it, and --packed none takes it as it is")
        }
        [b'P', b'K', 3, 4, ..] => Some("it is a zip archive: unpack it first; --packed none takes it as it is"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Some("it is packed with xz: pipe it through `xz -dc`; --packed none takes it as it is")
        }
        [b'B', b'Z', b'h', _, 0x31, 0x41, ..] => {
            Some("it is packed with bzip2: pipe it through `bzip2 -dc`; --packed none takes it as it is")
        }
        _ => None,
    }
}

pub fn cannot_read(name: &str, source: io::Error) -> Failure {
    Failure::Io { what: format!("cannot read {name}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_how_a_file_is_packed() {
        assert_eq!(packing_of(Path::new("a/b.csv.gz")), (Some(Packing::Gz), Path::new("b.csv")));
        assert_eq!(packing_of(Path::new("b.TSV.ZST")), (Some(Packing::Zst), Path::new("b.TSV")));
        assert_eq!(packing_of(Path::new("b.csv")), (None, Path::new("b.csv")));
        assert_eq!(packing_of(Path::new("-")), (None, Path::new("-")));
    }
}
