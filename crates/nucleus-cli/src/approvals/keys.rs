//! Keys as a terminal in raw mode sends them.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A character.
    Char(char),
    /// Return.
    Enter,
    /// Backspace or delete.
    Erase,
    /// Escape alone.
    Escape,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Ctrl-C or Ctrl-D.
    Interrupt,
}

/// The keys in what one read gave. What is no key of ours is left out.
pub(super) fn parse(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        let known = [
            ("\u{1b}[A", Key::Up),
            ("\u{1b}OA", Key::Up),
            ("\u{1b}[B", Key::Down),
            ("\u{1b}OB", Key::Down),
            ("\u{1b}[5~", Key::PageUp),
            ("\u{1b}[6~", Key::PageDown),
        ];
        let sequence =
            known.into_iter().find_map(|(text, key)| Some((rest.strip_prefix(text)?, key)));
        if let Some((after, key)) = sequence {
            keys.push(key);
            rest = after;
            continue;
        }
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            // Another sequence: none of it may be taken for letters.
            '\u{1b}' if !after.is_empty() => return keys,
            '\u{1b}' => keys.push(Key::Escape),
            '\r' | '\n' => keys.push(Key::Enter),
            '\u{7f}' | '\u{8}' => keys.push(Key::Erase),
            '\u{3}' | '\u{4}' => keys.push(Key::Interrupt),
            c if c.is_control() => {}
            c => keys.push(Key::Char(c)),
        }
        rest = after;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::{Key, parse};

    #[test]
    fn letters_and_sequences_are_told_apart() {
        assert_eq!(parse(b"a\x1b[B\r"), [Key::Char('a'), Key::Down, Key::Enter]);
        assert_eq!(parse(b"\x1b"), [Key::Escape]);
        assert_eq!(parse(b"\x03"), [Key::Interrupt]);
        assert_eq!(parse(b"\x1b[200~a\x1b[201~"), [], "pasted text answers nothing");
    }
}
