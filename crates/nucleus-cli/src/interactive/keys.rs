//! The keys that are the relay's own, among what the user types for the agent.

/// A piece of typing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// For the agent.
    Agent(Vec<u8>),
    /// Ctrl-]: the relay's own screen.
    Takeover,
    /// Ctrl-Z: suspends the relay, as it would any program.
    Suspend,
}

const TAKEOVER: u8 = 0x1d;
const SUSPEND: u8 = 0x1a;
/// `]` and `z` as keyboard protocols count them.
const TAKEOVER_KEY: u32 = 93;
const SUSPEND_KEY: u32 = 122;
/// Ctrl among the modifiers of those protocols, and Caps Lock and Num Lock, which change nothing.
const CTRL: u32 = 4;
const LOCKS: u32 = 64 | 128;

/// Takes the relay's keys out, in the forms of all keyboard protocols that the filter lets an agent switch on.
pub(crate) fn split(bytes: &[u8]) -> Vec<Typed> {
    let mut out = Vec::new();
    let mut plain = Vec::new();
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let (key, length) = match *first {
            TAKEOVER => (Some(Some(Typed::Takeover)), 1),
            SUSPEND => (Some(Some(Typed::Suspend)), 1),
            0x1b => sequence(after).map_or((None, 1), |(key, length)| (Some(key), length + 1)),
            _ => (None, 1),
        };
        let (taken, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        match key {
            None => plain.extend(taken),
            Some(own) => {
                if !plain.is_empty() {
                    out.push(Typed::Agent(std::mem::take(&mut plain)));
                }
                out.extend(own);
            }
        }
    }
    if !plain.is_empty() {
        out.push(Typed::Agent(plain));
    }
    out
}

/// An own key at the beginning of what follows an `ESC`, with its length; the key is `None` when it was let go only.
fn sequence(after: &[u8]) -> Option<(Option<Typed>, usize)> {
    let inner = after.strip_prefix(b"[")?;
    let length = inner.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count();
    let last = *inner.get(length)?;
    let text = std::str::from_utf8(inner.get(..length)?).ok()?;
    let mut fields = text.split(';');
    let (key, modifiers) = match last {
        b'u' => (fields.next()?, fields.next()?),
        b'~' if fields.next()? == "27" => {
            let modifiers = fields.next()?;
            (fields.next()?, modifiers)
        }
        _ => return None,
    };
    let (modifiers, event) = modifiers.split_once(':').unwrap_or((modifiers, "1"));
    let held = modifiers.parse::<u32>().ok()?.checked_sub(1)? & !LOCKS;
    let key = key.split(':').next()?.parse::<u32>().ok()?;
    let own = match key {
        TAKEOVER_KEY if held == CTRL => Typed::Takeover,
        SUSPEND_KEY if held == CTRL => Typed::Suspend,
        _ => return None,
    };
    // `[`, the arguments and the last byte.
    Some(((event != "3").then_some(own), length + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(text: &str) -> Typed {
        Typed::Agent(text.as_bytes().to_vec())
    }

    #[test]
    fn own_keys_are_found_in_every_form_and_all_else_passes() {
        for form in ["\x1d", "\x1b[93;5u", "\x1b[93;5:1u", "\x1b[93:125;69u", "\x1b[27;5;93~"] {
            let typed = split(format!("ab{form}cd").as_bytes());
            assert_eq!(typed, [agent("ab"), Typed::Takeover, agent("cd")], "{form:?}");
        }
        assert_eq!(split(b"\x1a\x1b[122;5u"), [Typed::Suspend, Typed::Suspend]);
        for text in [
            "\x1b[A",
            "\x1b",
            "\x1b[93u",
            "\x1b[93;3u",
            "\x1b[<0;1;1M",
            "\x1b[200~x\x1b[201~",
            "é\x03\x04",
        ] {
            assert_eq!(split(text.as_bytes()), [agent(text)], "{text:?}");
        }
    }

    #[test]
    fn a_key_let_go_is_nobodys() {
        assert_eq!(split(b"\x1b[93;5:3ux"), [agent("x")]);
    }
}
