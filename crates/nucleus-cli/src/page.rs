//! What a command prints on standard output, for a person or for a program.

use std::io::{IsTerminal, Write};

use nucleus_wire::display::escape_json;
use serde::Serialize;

use crate::environment::Environment;
use crate::reading::Line;
use crate::screen::style::{Style, Tone};

/// Standard output, with colours where they are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    style: Style,
    /// Of the terminal, when it is one.
    columns: Option<usize>,
}

impl Page {
    /// The page of this run.
    pub(crate) fn new(env: &Environment) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let columns = rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|n| *n > 0 && terminal);
        Self { style: Style::new(env.colours(terminal), columns), columns }
    }

    /// `text` in a colour, where colours are wanted.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        self.style.paint(tone, text)
    }

    /// `text` padded to `columns`, then coloured.
    pub(crate) fn cell(self, tone: Tone, text: &str, columns: usize) -> String {
        let padding = columns.saturating_sub(text.chars().count());
        format!("{}{}", self.style.paint(tone, text), " ".repeat(padding))
    }

    /// Columns of the terminal, when lines are to be cut to it.
    pub(crate) fn width(self) -> Option<usize> {
        self.style.cuts().then(|| self.style.columns())
    }

    /// A line that is long: in rows on a terminal, whole elsewhere.
    pub(crate) fn rows(self, line: &Line) -> Vec<String> {
        match self.columns {
            Some(columns) => line.rows(columns).iter().map(|row| row.paint(self.style)).collect(),
            None => vec![line.paint(self.style)],
        }
    }

    /// A unified diff, escaped already, with its lines coloured.
    pub(crate) fn diff(self, text: &str) -> String {
        let mut out = String::new();
        for line in text.lines() {
            let tone = match line.as_bytes() {
                [b'+', ..] => Some(Tone::Good),
                [b'-', ..] => Some(Tone::Bad),
                [b'@', ..] => Some(Tone::Dim),
                _ => None,
            };
            let line = tone.map_or_else(|| line.to_owned(), |tone| self.paint(tone, line));
            out.push_str("  ");
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

/// A value as a line of JSON, as every program that reads `--json` gets it: nothing in it acts on a terminal or deceives
/// who looks at it there.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    json(serde_json::to_string(value))
}

/// As [`json_line`], on lines of its own for every member.
pub(crate) fn json_block(value: &impl Serialize) -> String {
    json(serde_json::to_string_pretty(value))
}

fn json(text: serde_json::Result<String>) -> String {
    // What is printed has texts for names of members, and such a value is always JSON.
    text.map(|text| format!("{}\n", escape_json(&text))).unwrap_or_default()
}

/// Prints; false when nobody reads any more.
pub(crate) fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
