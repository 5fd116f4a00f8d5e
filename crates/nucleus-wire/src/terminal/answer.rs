//! Answers to a program's questions, made by the relay: short, of fixed form, with nothing of the program's in them.

use serde::{Deserialize, Serialize};

use super::{Modes, Query};

/// What a relay knows of the terminal it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Its height.
    pub rows: u16,
    /// Its width.
    pub columns: u16,
    /// It speaks kitty's keyboard protocol.
    #[serde(default)]
    pub keyboard: bool,
    /// Red, green and blue of its text.
    #[serde(default)]
    pub foreground: Option<[u16; 3]>,
    /// The same behind it.
    #[serde(default)]
    pub background: Option<[u16; 3]>,
}

impl Facts {
    /// The answer to a question; `None` when it is left without one, as terminals do that do not know it.
    #[must_use]
    pub fn answer(&self, query: Query, modes: &Modes) -> Option<String> {
        let colour = |number: u8, colour: Option<[u16; 3]>| {
            let [red, green, blue] = colour?;
            Some(format!("\x1b]{number};rgb:{red:04x}/{green:04x}/{blue:04x}\x1b\\"))
        };
        match query {
            // A VT220 with colour.
            Query::Attributes => Some("\x1b[?62;22c".to_owned()),
            Query::Model => Some("\x1b[>1;10;0c".to_owned()),
            Query::Status => Some("\x1b[0n".to_owned()),
            Query::Cursor => Some("\x1b[1;1R".to_owned()),
            Query::Size => Some(format!("\x1b[8;{};{}t", self.rows, self.columns)),
            Query::Keyboard => self.keyboard.then(|| format!("\x1b[?{}u", modes.keyboard_flags())),
            Query::Mode(mode) => {
                let setting = modes.get(mode).map_or(0, |on| if on { 1 } else { 2 });
                Some(format!("\x1b[?{mode};{setting}$y"))
            }
            Query::Foreground => colour(10, self.foreground),
            Query::Background => colour(11, self.background),
        }
    }

    /// Reads what a terminal answered to the questions of [`Facts::QUESTIONS`]; the number of bytes that belong to it,
    /// once the last answer has come. Strict: what has another form is typing.
    #[must_use]
    pub fn learn(&mut self, answer: &[u8]) -> Option<usize> {
        let (from, end) = find_attributes(answer)?;
        let text = String::from_utf8_lossy(answer.get(..from)?).into_owned();
        self.keyboard = text.split("\x1b[?").skip(1).any(|rest| {
            rest.split_once('u').is_some_and(|(flags, _)| {
                !flags.is_empty() && flags.len() <= 2 && flags.bytes().all(|b| b.is_ascii_digit())
            })
        });
        self.foreground = colour_of(&text, "\x1b]10;rgb:");
        self.background = colour_of(&text, "\x1b]11;rgb:");
        Some(end)
    }

    /// What a relay asks its own terminal before any program runs. Every terminal answers the last.
    pub const QUESTIONS: &'static str = "\x1b]10;?\x1b\\\x1b]11;?\x1b\\\x1b[?u\x1b[c";
}

/// Where the answer to `DA1` begins and ends.
fn find_attributes(answer: &[u8]) -> Option<(usize, usize)> {
    let begins = answer.windows(3).enumerate().filter(|(_, w)| *w == b"\x1b[?").map(|(at, _)| at);
    for from in begins {
        let rest = answer.get(from.saturating_add(3)..).unwrap_or_default();
        let length = rest.iter().take_while(|b| b.is_ascii_digit() || **b == b';').count();
        if rest.get(length) == Some(&b'c') {
            return Some((from, from.saturating_add(length).saturating_add(4)));
        }
    }
    None
}

fn colour_of(text: &str, begin: &str) -> Option<[u16; 3]> {
    let (_, rest) = text.split_once(begin)?;
    let mut parts = rest.splitn(3, '/').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_hexdigit).take(4).collect();
        let value = u16::from_str_radix(&digits, 16).ok()?;
        // Two digits stand for the same two again.
        Some(if digits.len() == 2 { value.saturating_mul(0x101) } else { value })
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}
