//! Printing for people.

use std::{
    io::{self, Write},
    time::Duration,
};

/// Writes bytes so that they take one line and cannot control a terminal. Backslashes, control
/// characters and bytes that are not UTF-8 are escaped with a backslash; other text is unchanged.
pub fn write_escaped(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.write_all(b"\\\\")?,
                '\n' => out.write_all(b"\\n")?,
                '\r' => out.write_all(b"\\r")?,
                '\t' => out.write_all(b"\\t")?,
                c if c.is_control() => write_hex(out, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                c => write!(out, "{c}")?,
            }
        }
        write_hex(out, chunk.invalid())?;
    }
    Ok(())
}

fn write_hex(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|b| write!(out, "\\x{b:02x}"))
}

/// Whether bytes are text that a terminal shows as it is.
pub fn is_text(bytes: &[u8]) -> bool {
    let is_plain = |line: &str| !line.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    str::from_utf8(bytes).is_ok_and(|text| text.split("\r\n").all(is_plain))
}

/// How many bytes a message shows at most.
const SHOWN_BYTES_MAX: usize = 100;

/// Bytes for a message, escaped as by [`write_escaped`]. Of many bytes only the beginning is shown,
/// up to the end of a character.
pub fn escaped(bytes: &[u8]) -> String {
    let is_continued = |end: &usize| bytes[*end] & 0b1100_0000 == 0b1000_0000;
    let end = match bytes.len() {
        all @ ..=SHOWN_BYTES_MAX => all,
        _ => (SHOWN_BYTES_MAX - 3..=SHOWN_BYTES_MAX).rev().find(|end| !is_continued(end)).unwrap_or(SHOWN_BYTES_MAX),
    };
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_escaped(&mut text, &bytes[..end]);
    if end < bytes.len() {
        text.extend_from_slice("…".as_bytes());
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A number with its thousands separated: `1,000`.
pub fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// A number and its noun: `1 row`, `1,000 rows`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number of entries.
pub fn counted_entries(number: u64) -> String {
    format!("{} {}", grouped(number), if number == 1 { "entry" } else { "entries" })
}

/// A size, in the largest unit that makes the number at least 1.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// A time in seconds or milliseconds.
pub fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}

/// How many per second.
pub fn rate(number: u64, time: Duration) -> u64 {
    (number as f64 / time.as_secs_f64().max(1e-6)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_unambiguous_and_keeps_text() {
        assert_eq!(escaped("Zoë 😀 a/b".as_bytes()), "Zoë 😀 a/b");
        assert_eq!(escaped(b"a\tb\nc\rd\\n"), r"a\tb\nc\rd\\n");
        assert_eq!(escaped(b"\0\x1b[1m\xff\xc3"), r"\x00\x1b[1m\xff\xc3");
        assert_eq!(escaped("\u{85}".as_bytes()), r"\xc2\x85");
        assert_eq!(escaped("é".repeat(50).as_bytes()), "é".repeat(50));
        assert_eq!(escaped(format!("a{}", "é".repeat(50)).as_bytes()), format!("a{}…", "é".repeat(49)));
        assert_eq!(escaped(&[0x80; 300]), format!("{}…", r"\x80".repeat(100)));
    }

    #[test]
    fn control_characters_are_no_text() {
        assert!(is_text("Zoë\n\t\r\n😀".as_bytes()) && is_text(b"") && !is_text(b"hidden\rshown"));
        assert!(!is_text(b"\xff") && !is_text(b"\x1b[31m") && !is_text(b"\0") && !is_text("\u{85}".as_bytes()));
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(grouped)[..]);
        assert_eq!(["0 B", "1023 B", "1.0 KiB", "1.5 MiB"], [0, 1023, 1024, 3 << 19].map(size)[..]);
        assert_eq!(duration(Duration::from_micros(1_234)), "1.2 ms");
        assert_eq!(duration(Duration::from_millis(1_234)), "1.23 s");
        assert_eq!((counted(1, "row"), counted(2, "row")), ("1 row".into(), "2 rows".into()));
        assert_eq!(rate(1_000, Duration::from_millis(500)), 2_000);
    }
}
