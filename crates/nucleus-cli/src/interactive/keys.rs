//! The keys that are the relay's own, among what the user types for the agent.

use std::time::Duration;

/// A piece of typing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// For the agent.
    Agent(Vec<u8>),
    /// Ctrl-]: the relay's own screen.
    Takeover,
    /// Ctrl-Z: suspends the relay, as it would any program.
    Suspend,
}

const ESC: u8 = 0x1b;
const TAKEOVER: u8 = 0x1d;
const SUSPEND: u8 = 0x1a;
/// `]` and `z` as keyboard protocols count them, and `5`: with Ctrl a terminal has always sent the same for it as for `]`.
const BRACKET: u32 = 93;
const FIVE: u32 = 53;
const Z: u32 = 122;
/// Shift and Ctrl among the modifiers of those protocols, and Caps Lock and Num Lock, which change nothing.
const SHIFT: u32 = 1;
const CTRL: u32 = 4;
const LOCKS: u32 = 64 | 128;
/// What is pasted stands between these, when the agent asked for it.
const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Longest sequence that can be an own key, in bytes: three numbers of one field, modifiers, and a few characters of text.
const SEQUENCE_BYTES_MAX: usize = 64;
/// How long what may be the Escape key alone, or `[` with Alt, waits for the rest of a sequence.
const KEY_PATIENCE: Duration = Duration::from_millis(60);
/// How long what nobody types by hand does.
const SEQUENCE_PATIENCE: Duration = Duration::from_millis(500);
/// A paste that is silent for so long has lost its end: the user must not be without own keys for it.
const PASTE_PATIENCE: Duration = Duration::from_secs(2);

/// Takes the relay's keys out, in the forms of all keyboard protocols that the filter lets an agent switch on, however
/// the bytes come in pieces. What is pasted is the agent's, whatever is in it.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// The beginning of a sequence that may become an own key, or one end of a paste.
    held: Vec<u8>,
    pasting: bool,
}

impl Keys {
    /// Takes what was typed.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut out = Vec::new();
        for byte in bytes {
            self.take(*byte, &mut out);
        }
        out
    }

    /// How long to wait for more before [`Keys::idle`]; forever, when nothing depends on it.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match (self.pasting, self.held.len()) {
            (true, _) => Some(PASTE_PATIENCE),
            (false, 0) => None,
            (false, 1 | 2) => Some(KEY_PATIENCE),
            (false, _) => Some(SEQUENCE_PATIENCE),
        }
    }

    /// Nothing came for that long: what was begun goes to the agent as it is.
    pub(crate) fn idle(&mut self) -> Vec<Typed> {
        self.pasting = false;
        let mut out = Vec::new();
        self.release(&mut out);
        out
    }

    fn take(&mut self, byte: u8, out: &mut Vec<Typed>) {
        if self.held.is_empty() {
            return match byte {
                ESC => self.held.push(ESC),
                TAKEOVER if !self.pasting => out.push(Typed::Takeover),
                SUSPEND if !self.pasting => out.push(Typed::Suspend),
                _ => agent(&[byte], out),
            };
        }
        self.held.push(byte);
        if self.pasting {
            if self.held == PASTE_END {
                self.pasting = false;
                self.release(out);
            } else if !PASTE_END.starts_with(&self.held) {
                self.again(out);
            }
            return;
        }
        match (self.held.len(), byte) {
            (2, b'[') => {}
            (3..=SEQUENCE_BYTES_MAX, b'0'..=b'9' | b';' | b':') => {}
            (3.., b'u' | b'~') => {
                self.pasting = self.held == PASTE;
                match sequence(&self.held) {
                    Some(own) => {
                        self.held.clear();
                        out.extend(own);
                    }
                    None => self.release(out),
                }
            }
            // Some other key; its last byte may begin the next one.
            _ => self.again(out),
        }
    }

    /// Gives what is held to the agent, but for the last byte, which is looked at anew.
    fn again(&mut self, out: &mut Vec<Typed>) {
        let last = self.held.pop();
        self.release(out);
        if let Some(byte) = last {
            self.take(byte, out);
        }
    }

    fn release(&mut self, out: &mut Vec<Typed>) {
        agent(&std::mem::take(&mut self.held), out);
    }
}

fn agent(bytes: &[u8], out: &mut Vec<Typed>) {
    match out.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Typed::Agent(before)) => before.extend(bytes),
        _ => out.push(Typed::Agent(bytes.to_vec())),
    }
}

/// Whether a whole sequence is an own key; a key that repeats or is let go is nobody's.
fn sequence(held: &[u8]) -> Option<Option<Typed>> {
    let (last, text) = held.strip_prefix(b"\x1b[")?.split_last()?;
    let mut fields = std::str::from_utf8(text).ok()?.split(';');
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
    let own = meaning(key, held)?;
    Some((event == "1").then_some(own))
}

/// What a key with these modifiers is to the relay. Kitty's protocol says of a key what it is, what it is with Shift, and
/// what lies at its place on a keyboard of the United States.
fn meaning(key: &str, held: u32) -> Option<Typed> {
    let mut codes = key.split(':').map(|code| code.parse::<u32>().ok());
    let code = codes.next()??;
    let (shifted, base) = (codes.next().flatten(), codes.next().flatten());
    let either = |wanted: u32| code == wanted || base == Some(wanted);
    match held {
        CTRL if either(BRACKET) || either(FIVE) => Some(Typed::Takeover),
        // On many keyboards the bracket is another key with Shift.
        _ if held == CTRL | SHIFT && shifted == Some(BRACKET) => Some(Typed::Takeover),
        // The place counts only where the key has no letter of the Latin alphabet: elsewhere it is Ctrl-Y on some keyboards.
        CTRL if code == Z || !is_ascii(code) && base == Some(Z) => Some(Typed::Suspend),
        _ => None,
    }
}

fn is_ascii(code: u32) -> bool {
    code < 128
}

#[cfg(test)]
mod tests;
