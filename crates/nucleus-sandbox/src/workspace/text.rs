//! Text of an agent's making, shown to a human.

use std::fmt::Write as _;

/// Renders text so that it cannot move the cursor, reorder itself or hide: control, bidirectional, zero-width and
/// other invisible characters become `\u{…}`; a backslash stays as it is. Line feeds are escaped too.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut out, c, false);
    }
    out
}

/// As [`escape`] for one line of a file's text: tabs stay.
pub(crate) fn escape_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut out, c, true);
    }
    out
}

fn push(out: &mut String, c: char, keep_tab: bool) {
    if c == '\t' && keep_tab {
        out.push(c);
    } else if hides(c) {
        let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
    } else {
        out.push(c);
    }
}

/// Characters that a terminal obeys instead of showing, or that nobody sees.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164
            | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_moves_is_escaped() {
        assert_eq!(escape("a\x1b[2Kb\r\n"), "a\\u{1b}[2Kb\\u{d}\\u{a}");
        assert_eq!(escape("x\u{202e}y\u{200b}z\u{e0041}"), "x\\u{202e}y\\u{200b}z\\u{e0041}");
        assert_eq!(escape_line("a\tb\u{9b}c"), "a\tb\\u{9b}c");
    }

    #[test]
    fn plain_text_is_left_alone() {
        assert_eq!(escape("naïve 漢字 \\ end"), "naïve 漢字 \\ end");
    }
}
