//! A hostile program's terminal output made harmless: full-screen interfaces work, nothing else of a terminal can be had.
//!
//! [`Filter`] parses the bytes as terminals do (the state machine of ECMA-48 and the DEC terminals) and writes what it
//! knows anew: text, the cursor, colours, the modes of [`Modes`], titles made plain and links to the web. Everything else
//! goes, with its arguments: clipboard, palette, window, printer, device strings, pictures, files, answerbacks, the
//! user's scrollback. Questions never reach the terminal, so its answers can never be taken for typing: they come out as
//! [`Query`] and the relay answers them.
//!
//! What comes out passes again unchanged, and ends between two sequences.

mod answer;
mod control;
mod modes;
mod string;
#[cfg(test)]
mod tests;

pub use answer::Facts;
pub use modes::Modes;

use control::{Verdict, judge};

/// Longest arguments of a control sequence, in bytes: a colour in each of 16 SGR parts fits.
const PARAMETER_BYTES_MAX: usize = 256;
/// Longest operating system command kept, in bytes: a link of the longest address fits.
const STRING_BYTES_MAX: usize = 4_096;

/// A question the program asked its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a relay must answer or leave each of them")]
pub enum Query {
    /// What kind of terminal this is (`DA1`).
    Attributes,
    /// Which model (`DA2`).
    Model,
    /// Whether it works (`DSR 5`).
    Status,
    /// Where the cursor is (`DSR 6`).
    Cursor,
    /// How many rows and columns it has.
    Size,
    /// Which keyboard protocol is on (kitty's).
    Keyboard,
    /// Whether a mode is set: its number, and the setting as far as the program changed it.
    Mode(u16),
    /// The colour of text (`OSC 10`).
    Foreground,
    /// The colour behind it (`OSC 11`).
    Background,
}

/// A piece of what came out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a relay must handle both")]
pub enum Piece {
    /// To be shown as it is.
    Show(String),
    /// To be answered.
    Ask(Query),
}

/// Where the parser is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    /// `ESC` and an intermediate byte; `None` after a second one.
    Designate(Option<u8>),
    Control(Control),
    /// An operating system command so far; `None` when it is too long.
    Command(Option<Vec<u8>>),
    /// `ESC` within one.
    CommandEscape(Option<Vec<u8>>),
    /// A string of another kind, which goes as a whole.
    Ignored,
}

/// A control sequence so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Control {
    parameters: Vec<u8>,
    intermediates: Vec<u8>,
    broken: bool,
}

/// The filter of one terminal.
#[derive(Debug)]
pub struct Filter {
    state: State,
    /// A character that is not complete yet.
    partial: Vec<u8>,
    modes: Modes,
    /// The last thing shown was a bell.
    rang: bool,
    out: Vec<Piece>,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

impl Filter {
    /// A filter for a terminal in its ordinary state.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Ground,
            partial: Vec::new(),
            modes: Modes::default(),
            rang: false,
            out: Vec::new(),
        }
    }

    /// The modes that what came out so far has set.
    #[must_use]
    pub fn modes(&self) -> &Modes {
        &self.modes
    }

    /// Takes the next bytes and gives what may be shown and what must be answered. A sequence that is not complete stays
    /// inside until it is.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        for byte in bytes {
            self.byte(*byte);
        }
        std::mem::take(&mut self.out)
    }

    fn byte(&mut self, byte: u8) {
        match std::mem::replace(&mut self.state, State::Ground) {
            State::Ground => self.ground(byte),
            State::Escape => self.escape(byte),
            State::Designate(set) => self.designate(set, byte),
            State::Control(control) => self.control(control, byte),
            State::Command(text) => self.command(text, byte),
            State::CommandEscape(text) => {
                if byte == b'\\' {
                    self.end_command(text.as_deref());
                } else {
                    // The command was broken off, and another sequence begins.
                    self.escape(byte);
                }
            }
            State::Ignored => {
                self.state = match byte {
                    0x1b => State::Escape,
                    0x18 | 0x1a => State::Ground,
                    _ => State::Ignored,
                };
            }
        }
    }

    fn ground(&mut self, byte: u8) {
        if !self.partial.is_empty() {
            if matches!(byte, 0x80..=0xbf) {
                self.partial.push(byte);
                return self.complete();
            }
            self.partial.clear();
            self.show_char(char::REPLACEMENT_CHARACTER);
        }
        match byte {
            0x1b => self.state = State::Escape,
            0x00..=0x1f => self.simple(byte),
            0x20..=0x7e => self.show_char(char::from(byte)),
            0x7f => {}
            0xc2..=0xf4 => self.partial.push(byte),
            _ => self.show_char(char::REPLACEMENT_CHARACTER),
        }
    }

    /// Shows the partial character if it is whole now.
    fn complete(&mut self) {
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let whole = text.chars().next();
                self.partial.clear();
                if let Some(c) = whole {
                    self.show_char(c);
                }
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => {
                self.partial.clear();
                self.show_char(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// A control character, which acts in the midst of a sequence too.
    fn simple(&mut self, byte: u8) {
        match byte {
            // A flood of bells is one.
            0x07 if self.rang => {}
            0x07 => {
                self.show("\x07");
                self.rang = true;
            }
            0x08 => self.show("\x08"),
            0x09 => self.show("\t"),
            0x0a..=0x0c => self.show("\n"),
            0x0d => self.show("\r"),
            0x0e => {
                self.modes.shifted(true);
                self.show("\x0e");
            }
            0x0f => {
                self.modes.shifted(false);
                self.show("\x0f");
            }
            _ => {}
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            0x1b => self.state = State::Escape,
            0x18 | 0x1a => {}
            0x00..=0x1f => {
                self.simple(byte);
                self.state = State::Escape;
            }
            0x20..=0x2f => self.state = State::Designate(Some(byte)),
            b'[' => self.state = State::Control(Control::default()),
            b']' => self.state = State::Command(Some(Vec::new())),
            b'P' | b'X' | b'^' | b'_' => self.state = State::Ignored,
            // Save and restore the cursor, index, next line, reverse index.
            b'7' | b'8' | b'D' | b'E' | b'M' => self.show_escape(byte),
            b'=' | b'>' => {
                self.modes.keypad(byte == b'=');
                self.show_escape(byte);
            }
            0x7f => self.state = State::Escape,
            0x80..=0xff => self.ground(byte),
            _ => {}
        }
    }

    /// Character sets: the line drawing of old terminals and its end.
    fn designate(&mut self, set: Option<u8>, byte: u8) {
        match (set, byte) {
            (_, 0x1b) => self.state = State::Escape,
            (_, 0x18 | 0x1a) => {}
            (_, 0x00..=0x1f) => {
                self.simple(byte);
                self.state = State::Designate(set);
            }
            (_, 0x20..=0x2f) => self.state = State::Designate(None),
            (_, 0x7f) => self.state = State::Designate(set),
            (_, 0x80..=0xff) => self.ground(byte),
            (Some(set @ (b'(' | b')')), b'0' | b'A' | b'B') => {
                self.modes.charset(set == b')', byte);
                let text: String = ['\x1b', char::from(set), char::from(byte)].iter().collect();
                self.show(&text);
            }
            _ => {}
        }
    }

    fn control(&mut self, mut control: Control, byte: u8) {
        match byte {
            0x1b => {
                self.state = State::Escape;
                return;
            }
            0x18 | 0x1a => return,
            0x00..=0x1f => self.simple(byte),
            0x30..=0x3f => {
                control.broken |= !control.intermediates.is_empty()
                    || control.parameters.len() >= PARAMETER_BYTES_MAX;
                if !control.broken {
                    control.parameters.push(byte);
                }
            }
            0x20..=0x2f => {
                control.broken |= control.intermediates.len() >= 2;
                if !control.broken {
                    control.intermediates.push(byte);
                }
            }
            0x40..=0x7e => {
                if !control.broken {
                    self.end_control(&control, byte);
                }
                return;
            }
            0x7f => {}
            0x80..=0xff => return self.ground(byte),
        }
        self.state = State::Control(control);
    }

    fn end_control(&mut self, control: &Control, last: u8) {
        for verdict in judge(&control.parameters, &control.intermediates, last, &mut self.modes) {
            match verdict {
                Verdict::Pass(text) => self.show(&text),
                Verdict::Ask(query) => self.out.push(Piece::Ask(query)),
            }
        }
    }

    fn command(&mut self, text: Option<Vec<u8>>, byte: u8) {
        match byte {
            0x07 => self.end_command(text.as_deref()),
            0x1b => self.state = State::CommandEscape(text),
            0x18 | 0x1a => {}
            _ => {
                let text = text.and_then(|mut text| {
                    text.push(byte);
                    (text.len() <= STRING_BYTES_MAX).then_some(text)
                });
                self.state = State::Command(text);
            }
        }
    }

    fn end_command(&mut self, text: Option<&[u8]>) {
        match text.and_then(string::judge) {
            Some(Verdict::Pass(text)) => self.show(&text),
            Some(Verdict::Ask(query)) => self.out.push(Piece::Ask(query)),
            None => {}
        }
    }

    fn show_escape(&mut self, last: u8) {
        let text: String = ['\x1b', char::from(last)].iter().collect();
        self.show(&text);
    }

    fn show_char(&mut self, c: char) {
        if !hides(c) {
            self.show(c.encode_utf8(&mut [0; 4]));
        }
    }

    fn show(&mut self, text: &str) {
        self.rang = false;
        match self.out.last_mut() {
            Some(Piece::Show(shown)) => shown.push_str(text),
            _ => self.out.push(Piece::Show(text.to_owned())),
        }
    }
}

/// Characters that control a terminal, or turn the reading order: programs count no column for them, so they just go.
/// Joiners and variation selectors stay, names and emoji are written with them.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x061C                // Arabic letter mark
            | 0x200E..=0x200F     // marks
            | 0x2028..=0x202E     // separators, embeddings and overrides
            | 0x2066..=0x206F     // isolates, deprecated formats
            | 0xFFF9..=0xFFFB     // interlinear annotation
            | 0xE0000..=0xE007F) // tags
}
