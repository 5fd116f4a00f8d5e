//! Renders text of the agent so that it can stand in a log, a message or a terminal.

use crate::limits::SHOWN_CHARS;

/// `text` with everything but printable ASCII escaped, cut to the crate's limit with a visible mark.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARS {
            out.push_str("...");
            break;
        }
        if character == ' ' || character.is_ascii_graphic() {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bidi_and_length_cannot_reach_a_terminal() {
        assert_eq!(shown("a\x1b[31mb\u{202e}c"), "a\\u{1b}[31mb\\u{202e}c");
        let long = shown(&"x".repeat(SHOWN_CHARS * 2));
        assert_eq!(long.len(), SHOWN_CHARS + 3);
        assert!(long.ends_with("..."));
    }
}
