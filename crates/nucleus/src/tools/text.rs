//! Lines, line endings and the difference between text and binary.

use std::borrow::Cow;

use super::limits::BINARY_PROBE_BYTES;

/// Formats named when a file turns out to be binary: first bytes, name.
const FORMATS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "ELF program or library"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"RIFF", "RIFF media"),
    (b"%PDF", "PDF document"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\xfd7zXZ", "xz data"),
    (b"SQLite format 3", "SQLite database"),
    (b"\0asm", "WebAssembly module"),
    (b"\xff\xfe", "UTF-16 text, little endian"),
    (b"\xfe\xff", "UTF-16 text, big endian"),
];

/// What the start of a file says when it is no text; `None` for text.
pub(crate) fn binary_format(start: &[u8]) -> Option<&'static str> {
    let probe = start.get(..BINARY_PROBE_BYTES).unwrap_or(start);
    if !probe.contains(&0) {
        return None;
    }
    let known = FORMATS.iter().find(|(magic, _)| probe.starts_with(magic));
    Some(known.map_or("unknown format", |(_, name)| name))
}

/// Text of bytes, with U+FFFD for what is no UTF-8. True when that was needed.
pub(crate) fn lossy(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let damaged = matches!(text, Cow::Owned(_));
    (text, damaged)
}

/// How many bytes at the end begin a character that is not whole.
pub(crate) fn torn(bytes: &[u8]) -> usize {
    let Some(back) = bytes.iter().rev().take(4).position(|byte| byte & 0xC0 != 0x80) else {
        return 0;
    };
    let count = back.saturating_add(1);
    let last = bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default();
    match std::str::from_utf8(last) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => count,
        _ => 0,
    }
}

/// The longest prefix of `bytes` that is at most `max` long and does not cut a character.
pub(crate) fn prefix(bytes: &[u8], max: usize) -> &[u8] {
    let Some(head) = bytes.get(..max) else { return bytes };
    let back = head.iter().rev().take(3).position(|byte| byte & 0xC0 != 0x80);
    match back {
        Some(n) => {
            let start = head.len().saturating_sub(n.saturating_add(1));
            let last = head.get(start..).unwrap_or_default();
            if std::str::from_utf8(last).is_ok() { head } else { head.get(..start).unwrap_or(head) }
        }
        None => head,
    }
}

/// A count of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * 1024;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{}.{} KiB", bytes / KIB, bytes % KIB * 10 / KIB),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

/// `1 line`, `2 lines`.
pub(crate) fn plural(count: u64, noun: &str, nouns: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {nouns}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_never_cuts_a_character() {
        let text = "aé漢🙂z".as_bytes();
        for max in 0..=text.len() {
            assert!(std::str::from_utf8(prefix(text, max)).is_ok(), "cut at {max}");
        }
        assert_eq!(prefix(b"abc", 2), b"ab");
        assert_eq!(prefix("é".as_bytes(), 2), "é".as_bytes());
    }

    #[test]
    fn binary_is_told_from_text() {
        assert_eq!(binary_format(b"fn main() {}\n"), None);
        assert_eq!(binary_format(b"\x89PNG\r\n\0"), Some("PNG image"));
        assert_eq!(binary_format(b"abc\0"), Some("unknown format"));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(12), "12 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 * 1024 * 1024), "3.0 MiB");
    }
}
