//! What a program has changed of its terminal, so that it can be left behind and entered again.

use std::collections::BTreeMap;

/// Private modes a program may set, with how they are at first: application cursor keys, origin, wrapping, blinking
/// and visible cursor, other screens, keypad, mouse buttons, motion and forms of its reports, focus, bracketed paste,
/// synchronised output, grapheme clusters.
const KNOWN: [(u16, bool); 20] = [
    (1, false),
    (6, false),
    (7, true),
    (12, false),
    (25, true),
    (45, false),
    (47, false),
    (66, false),
    (1000, false),
    (1002, false),
    (1003, false),
    (1004, false),
    (1006, false),
    (1007, false),
    (1016, false),
    (1047, false),
    (1048, false),
    (1049, false),
    (2004, false),
    (2026, false),
];
/// Modes that show the other screen.
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];
/// Saves and restores the cursor: an action more than a state.
const CURSOR_SAVED: u16 = 1048;
/// Output held back until it ends: never entered on behalf of a program.
const SYNCHRONISED: u16 = 2026;
/// All flags of kitty's keyboard protocol.
const KEYBOARD_FLAGS: u16 = 31;
/// How many pushes of keyboard flags are kept, for each screen.
const KEYBOARD_DEPTH: usize = 8;

/// The state of a terminal as far as a program changed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    /// Modes that are not as they were at first.
    changed: BTreeMap<u16, bool>,
    /// Keyboard flags pushed on the main and on the other screen.
    keyboard: [Vec<u16>; 2],
    other_keys: u16,
    cursor_shape: u16,
    keypad: bool,
    insert: bool,
    margins: bool,
    shifted: bool,
    charsets: [Option<u8>; 2],
}

impl Modes {
    /// Sets everything back that the program changed, and ends colours and links.
    #[must_use]
    pub fn leave(&self) -> String {
        let mut out = String::new();
        let mut set = |mode: u16, on: bool| {
            out.push_str(&format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }));
        };
        if self.changed.contains_key(&SYNCHRONISED) {
            set(SYNCHRONISED, false);
        }
        for (mode, on) in &self.changed {
            if !OTHER_SCREEN.contains(mode) && ![CURSOR_SAVED, SYNCHRONISED].contains(mode) {
                set(*mode, !on);
            }
        }
        out.push_str("\x1b[0m\x1b]8;;\x1b\\");
        for (wanted, text) in [
            (self.insert, "\x1b[4l"),
            (self.margins, "\x1b7\x1b[r\x1b8"),
            (self.keypad, "\x1b>"),
            (self.other_keys > 0, "\x1b[>4m"),
            (self.cursor_shape > 0, "\x1b[0 q"),
            (self.charsets != [None, None] || self.shifted, "\x1b(B\x1b)B\x0f"),
        ] {
            if wanted {
                out.push_str(text);
            }
        }
        let [main, other] = &self.keyboard;
        if self.on_other_screen() {
            out.push_str(&pops(other.len()));
            for mode in OTHER_SCREEN.iter().filter(|mode| self.changed.contains_key(mode)) {
                out.push_str(&format!("\x1b[?{mode}l"));
            }
        }
        out.push_str(&pops(main.len()));
        out
    }

    /// Brings an ordinary terminal to where the program believes it to be, but for what is on it.
    #[must_use]
    pub fn enter(&self) -> String {
        let mut out = String::new();
        let [main, other] = &self.keyboard;
        out.push_str(&pushes(main));
        for mode in OTHER_SCREEN.iter().filter(|mode| self.changed.contains_key(mode)) {
            out.push_str(&format!("\x1b[?{mode}h"));
        }
        if self.on_other_screen() {
            out.push_str(&pushes(other));
        }
        for (mode, on) in &self.changed {
            if !OTHER_SCREEN.contains(mode) && ![CURSOR_SAVED, SYNCHRONISED].contains(mode) {
                out.push_str(&format!("\x1b[?{mode}{}", if *on { 'h' } else { 'l' }));
            }
        }
        if self.insert {
            out.push_str("\x1b[4h");
        }
        if self.keypad {
            out.push_str("\x1b=");
        }
        if self.other_keys > 0 {
            out.push_str(&format!("\x1b[>4;{}m", self.other_keys));
        }
        if self.cursor_shape > 0 {
            out.push_str(&format!("\x1b[{} q", self.cursor_shape));
        }
        for (mark, set) in ['(', ')'].iter().zip(self.charsets) {
            if let Some(set) = set {
                out.push_str(&format!("\x1b{mark}{}", char::from(set)));
            }
        }
        if self.shifted {
            out.push('\x0e');
        }
        out
    }

    /// Whether the program is on the other screen, where full-screen programs draw.
    #[must_use]
    pub fn on_other_screen(&self) -> bool {
        OTHER_SCREEN.iter().any(|mode| self.changed.contains_key(mode))
    }

    /// The setting of a mode, `None` for one no program may set.
    #[must_use]
    pub fn get(&self, mode: u16) -> Option<bool> {
        let (_, at_first) = KNOWN.iter().find(|(known, _)| *known == mode)?;
        Some(self.changed.get(&mode).copied().unwrap_or(*at_first))
    }

    /// The keyboard flags in force.
    #[must_use]
    pub fn keyboard_flags(&self) -> u16 {
        self.stack().last().copied().unwrap_or(0)
    }

    /// Notes a mode; `false` for one that may not be set.
    pub(super) fn set(&mut self, mode: u16, on: bool) -> bool {
        let Some((_, at_first)) = KNOWN.iter().find(|(known, _)| *known == mode) else {
            return false;
        };
        if on == *at_first {
            self.changed.remove(&mode);
        } else {
            self.changed.insert(mode, on);
        }
        true
    }

    pub(super) fn push_keyboard(&mut self, flags: u16) -> bool {
        let stack = self.stack_mut();
        let fits = flags <= KEYBOARD_FLAGS && stack.len() < KEYBOARD_DEPTH;
        if fits {
            stack.push(flags);
        }
        fits
    }

    /// Takes back at most as many as were pushed; the number.
    pub(super) fn pop_keyboard(&mut self, count: u16) -> usize {
        let stack = self.stack_mut();
        let count = usize::from(count).min(stack.len());
        stack.truncate(stack.len().saturating_sub(count));
        count
    }

    pub(super) fn set_keyboard(&mut self, flags: u16, how: u16) -> bool {
        match self.stack_mut().last_mut() {
            Some(top) if flags <= KEYBOARD_FLAGS => {
                *top = match how {
                    1 => flags,
                    2 => *top | flags,
                    _ => *top & !flags,
                };
                true
            }
            _ => false,
        }
    }

    pub(super) fn other_keys(&mut self, level: u16) {
        self.other_keys = level;
    }

    pub(super) fn cursor_shape(&mut self, shape: u16) {
        self.cursor_shape = shape;
    }

    pub(super) fn keypad(&mut self, on: bool) {
        self.keypad = on;
    }

    pub(super) fn insert(&mut self, on: bool) {
        self.insert = on;
    }

    pub(super) fn margins(&mut self, on: bool) {
        self.margins = on;
    }

    pub(super) fn shifted(&mut self, on: bool) {
        self.shifted = on;
    }

    pub(super) fn charset(&mut self, second: bool, set: u8) {
        let kept = (set != b'B').then_some(set);
        let [first, other] = &mut self.charsets;
        *if second { other } else { first } = kept;
    }

    fn stack(&self) -> &Vec<u16> {
        let [main, other] = &self.keyboard;
        if self.on_other_screen() { other } else { main }
    }

    fn stack_mut(&mut self) -> &mut Vec<u16> {
        let on_other = self.on_other_screen();
        let [main, other] = &mut self.keyboard;
        if on_other { other } else { main }
    }
}

fn pops(count: usize) -> String {
    if count == 0 { String::new() } else { format!("\x1b[<{count}u") }
}

fn pushes(flags: &[u16]) -> String {
    flags.iter().map(|flags| format!("\x1b[>{flags}u")).collect()
}
