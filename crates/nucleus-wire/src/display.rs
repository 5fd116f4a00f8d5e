//! Text made safe to show a person: what an agent, a file or a model wrote must not move the cursor, recolour
//! a prompt, reverse reading order or hide characters (DESIGN section 8, catalogue row 71).

/// Escapes everything that can act on a terminal or deceive a reader, and keeps the rest.
///
/// Control characters, bidirectional controls, zero-width and invisible format characters, line and paragraph
/// separators and private-use or unassigned tag characters become `\u{…}`; `\n`, `\r` and `\t` become their
/// two-character forms. The result is one line. Idempotent on text without backslash escapes of its own.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out
}

/// As [`escape`], but lines stay lines and tabs stay tabs: for output shown as a block.
#[must_use]
pub fn escape_block(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            other => push_escaped(&mut out, other),
        }
    }
    out
}

/// As [`escape`], cut to at most `max_chars` characters; a cut is visible and says how long the text was.
#[must_use]
pub fn escape_short(text: &str, max_chars: usize) -> String {
    let escaped = escape(text);
    if escaped.chars().count() <= max_chars {
        return escaped;
    }
    let head: String = escaped.chars().take(max_chars).collect();
    format!("{head}… ({} bytes in all)", text.len())
}

/// JSON with the same value, in which nothing acts on a terminal or deceives a reader: what JSON allows as it is inside
/// of texts becomes `\u` escapes.
#[must_use]
pub fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Control characters of ASCII are blanks between the texts, and cannot be in one.
        if c.is_ascii() && c != '\x7f' || !deceives(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if deceives(c) => {
            out.push_str("\\u{");
            out.push_str(&format!("{:x}", u32::from(c)));
            out.push('}');
        }
        c => out.push(c),
    }
}

/// True for characters that act on a terminal or hide from a reader.
pub(crate) fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00AD            // soft hyphen
            | 0x034F          // combining grapheme joiner
            | 0x061C          // Arabic letter mark
            | 0x115F..=0x1160 // Hangul fillers
            | 0x17B4..=0x17B5
            | 0x180B..=0x180F
            | 0x200B..=0x200F // zero width, marks
            | 0x2028..=0x202E // separators, bidi embeddings and overrides
            | 0x2060..=0x206F // word joiner, isolates, deprecated formats
            | 0x3164
            | 0xFE00..=0xFE0F // variation selectors
            | 0xFEFF
            | 0xFFA0
            | 0xFFF9..=0xFFFB
            | 0xE000..=0xF8FF // private use
            | 0xE0000..=0xE0FFF
            | 0xF0000..=0x10_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_moves_the_cursor_or_hides() {
        assert_eq!(escape("a\x1b[2Kb\u{202e}c\u{200b}"), "a\\u{1b}[2Kb\\u{202e}c\\u{200b}");
        assert_eq!(escape("one\r\ntwo"), "one\\r\\ntwo");
        assert_eq!(escape_block("one\r\ntwo\x07"), "one\\r\ntwo\\u{7}");
    }

    #[test]
    fn keeps_ordinary_text_of_any_language() {
        let text = "naïve – 漢字 – עברית – emoji 🙂";
        assert_eq!(escape(text), text);
    }

    #[test]
    fn json_keeps_its_value_and_loses_what_deceives() {
        let hostile: String = "a\"\\\n\x1b\x7f\u{9b}é漢\u{200b}\u{202e}\u{feff}\u{e0001}🙂z".into();
        let value = serde_json::json!({ hostile.clone(): [hostile, 1] });
        for json in [value.to_string(), format!("{value:#}")] {
            let escaped = escape_json(&json);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
            assert!(escaped.chars().all(|c| c == '\n' || !deceives(c)), "{escaped:?}");
            assert!(escaped.contains("é漢") && escaped.contains("🙂"), "{escaped}");
            assert!(escaped.contains("\\u009b") && escaped.contains("\\udb40\\udc01"), "{escaped}");
        }
    }

    #[test]
    fn a_cut_is_visible() {
        assert_eq!(escape_short("abcdef", 3), "abc… (6 bytes in all)");
        assert_eq!(escape_short("abc", 3), "abc");
    }
}
