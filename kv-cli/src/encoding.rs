//! How bytes are written in arguments and in output, for keys and values that are not text.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    failure::Failure,
    opening,
    output::{escaped, write_escaped},
};

/// The options that choose an encoding. It is used for keys and values, in arguments, in what comes
/// from stdin, and in output.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct EncodingArgs {
    /// Keys and values are in hexadecimal: 00ff
    #[arg(long, group = "encoding")]
    hex: bool,
    /// Keys and values are in base64: AP8=
    #[arg(long, group = "encoding")]
    base64: bool,
    /// Keys and values are as `kv list` prints them: \x00\xff, \n, \\
    #[arg(long, group = "encoding")]
    escaped: bool,
}

impl EncodingArgs {
    pub fn encoding(self) -> Encoding {
        match self {
            Self { hex: true, .. } => Encoding::Hex,
            Self { base64: true, .. } => Encoding::Base64,
            Self { escaped: true, .. } => Encoding::Escaped,
            _ => Encoding::Plain,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes themselves.
    Plain,
    Hex,
    Base64,
    /// As by [`write_escaped`].
    Escaped,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Encoding {
    /// The bytes that an argument stands for. `what` names it in an error.
    pub fn argument(self, what: &str, argument: &OsStr) -> Result<Vec<u8>, Failure> {
        self.decode(what, argument.as_bytes())
    }

    /// The keys that arguments stand for. Refuses those that no store accepts.
    pub fn keys(self, arguments: &[OsString]) -> Result<Vec<Vec<u8>>, Failure> {
        let key = |argument: &OsString| {
            let key = self.argument("key", argument)?;
            opening::check_key(&key).map(|()| key)
        };
        arguments.iter().map(key).collect()
    }

    /// The bytes that some text stands for. Space around hexadecimal and base64, and a line feed
    /// after escaped text, do not count: they come from files and pipes.
    pub fn decode(self, what: &str, text: &[u8]) -> Result<Vec<u8>, Failure> {
        let decoded = match self {
            Self::Plain => Ok(text.to_vec()),
            Self::Hex => from_hex(text.trim_ascii()),
            Self::Base64 => {
                BASE64.decode(text.trim_ascii()).map_err(|e| e.to_string().trim_end_matches('.').to_owned())
            }
            Self::Escaped => from_escaped(text.strip_suffix(b"\n").unwrap_or(text)),
        };
        decoded.map_err(|reason| {
            let name = match self {
                Self::Hex => "hexadecimal",
                Self::Base64 => "base64",
                Self::Plain | Self::Escaped => "escaped text",
            };
            Failure::Refused(format!("the {what} \"{}\" is not {name}: {reason}", escaped(text)))
        })
    }

    /// Writes bytes so that they take one line. Text is escaped unless another encoding was chosen.
    pub fn write(self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain | Self::Escaped => write_escaped(out, bytes),
            Self::Hex => write_hex(out, bytes),
            Self::Base64 => write!(out, "{}", base64::display::Base64Display::new(bytes, &BASE64)),
        }
    }
}

fn write_hex(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes: Result<Vec<u8>, String> = pairs.iter().map(|&pair| hex_pair(pair)).collect();
    match rest {
        [] => bytes,
        _ => bytes.and(Err("it has an odd number of digits".into())),
    }
}

fn hex_pair([high, low]: [u8; 2]) -> Result<u8, String> {
    let digit = |byte: u8| {
        let value = char::from(byte).to_digit(16);
        value.map(|value| value as u8).ok_or_else(|| format!("\"{}\" is not a digit", escaped(&[byte])))
    };
    Ok(digit(high)? << 4 | digit(low)?)
}

fn from_escaped(mut text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some(backslash) = text.iter().position(|&byte| byte == b'\\') {
        bytes.extend_from_slice(&text[..backslash]);
        let (byte, rest) = match &text[backslash + 1..] {
            [b'\\', rest @ ..] => (b'\\', rest),
            [b'n', rest @ ..] => (b'\n', rest),
            [b'r', rest @ ..] => (b'\r', rest),
            [b't', rest @ ..] => (b'\t', rest),
            [b'x', high, low, rest @ ..] => (hex_pair([*high, *low])?, rest),
            _ => return Err(r"after a backslash comes a backslash, n, r, t, or x and two digits".into()),
        };
        bytes.push(byte);
        text = rest;
    }
    bytes.extend_from_slice(text);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Escaped] {
                let mut text = Vec::new();
                encoding.write(&mut text, &bytes).unwrap();
                prop_assert!(text.is_ascii() || encoding == Encoding::Escaped);
                prop_assert!(!text.contains(&b'\n'));
                prop_assert_eq!(encoding.decode("key", &text).unwrap(), &bytes[..]);
                text.push(b'\n');
                prop_assert_eq!(encoding.decode("key", &text).unwrap(), &bytes[..]);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let refused =
            |encoding: Encoding, text: &str| encoding.decode("key", text.as_bytes()).unwrap_err().line().unwrap();
        assert_eq!(refused(Encoding::Hex, "0"), "the key \"0\" is not hexadecimal: it has an odd number of digits");
        assert_eq!(refused(Encoding::Hex, "0g"), "the key \"0g\" is not hexadecimal: \"g\" is not a digit");
        assert!(refused(Encoding::Base64, "A?==").starts_with("the key \"A?==\" is not base64: "));
        assert!(
            refused(Encoding::Escaped, "a\\").starts_with(r#"the key "a\\" is not escaped text: after a backslash"#)
        );
        assert!(refused(Encoding::Escaped, r"\x0").contains("after a backslash"));
        assert!(refused(Encoding::Escaped, r"\xzz").contains("not a digit"));
        assert_eq!(Encoding::Hex.decode("key", b" 00Ff\n").unwrap(), [0, 255]);
        assert_eq!(Encoding::Base64.decode("key", b"AP8").unwrap(), [0, 255]);
    }
}
