//! Text from a log, made safe for a terminal.

use std::fmt::Write;

/// The text with everything escaped that could move a cursor, hide, or reorder what is shown.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => safe.push_str("\\\\"),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if hidden(c) => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Control, zero-width, bidirectional and other characters without a shape of their own.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            | 0xe000..=0xf8ff | 0xe0000..=0xe0fff | 0xf0000..=0x0010_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_passes_and_words_do() {
        let text = "a\n\t\r\\ \u{1b}[2J \u{202e}x\u{200b}\u{feff}\u{7f}\u{9b}\u{e0041}";
        let safe = "a\\n\\t\\r\\\\ \\u{1b}[2J \\u{202e}x\\u{200b}\\u{feff}\\u{7f}\\u{9b}\\u{e0041}";
        assert_eq!(escaped(text), safe);
        assert_eq!(escaped("src/größe 😀.rs"), "src/größe 😀.rs");
    }
}
