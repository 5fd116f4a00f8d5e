//! Text of others, cut and quoted for messages.

use crate::display::escape;

/// The longest beginning of `text` with at most `max_bytes` that ends on a character boundary.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// `text` in quotes, escaped, shortened to about sixty bytes: enough to recognise it.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_BYTES: usize = 60;
    let shown = cut(text, SHOWN_BYTES);
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", escape(shown).replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::{cut, quoted};

    #[test]
    fn cuts_on_character_boundaries() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("é", 1), "");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn quotes_what_could_mislead() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert_eq!(quoted("\u{1b}[31m\u{202e}"), r#""\u{1b}[31m\u{202e}""#);
        assert_eq!(quoted(&"x".repeat(90)), format!("\"{}…\"", "x".repeat(60)));
    }
}
