//! Colours and widths of what is shown.

/// Columns when the width is unknown: a pipe, a file, CI. Lines are not cut there, only aligned.
const COLUMNS_ASSUMED: usize = 80;
/// A terminal narrower than this gets lines that wrap.
const COLUMNS_MIN: usize = 60;
/// Alignment stops helping the eye beyond this.
const COLUMNS_MAX: usize = 120;

/// How lines are dressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
    columns: Option<usize>,
}

/// The colours used, as SGR parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It worked.
    Good,
    /// It was refused or went wrong.
    Bad,
    /// It wants attention.
    Ask,
    /// Beside the point.
    Dim,
    /// The point.
    Bold,
}

impl Style {
    /// `columns` is the width of the terminal; `None` when there is none.
    pub(crate) fn new(colour: bool, columns: Option<usize>) -> Self {
        Self { colour, columns: columns.map(|columns| columns.clamp(COLUMNS_MIN, COLUMNS_MAX)) }
    }

    /// The same without colours.
    pub(super) fn plain(self) -> Self {
        Self { colour: false, ..self }
    }

    /// Columns to align to.
    pub(crate) fn columns(self) -> usize {
        self.columns.unwrap_or(COLUMNS_ASSUMED)
    }

    /// Whether longer lines are cut: only where a person watches them go by; elsewhere they may be read by a program.
    pub(crate) fn cuts(self) -> bool {
        self.columns.is_some()
    }

    /// `text` in a colour, where colours are wanted.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let sgr = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Ask => "33",
            Tone::Dim => "2",
            Tone::Bold => "1",
        };
        format!("\x1b[{sgr}m{text}\x1b[0m")
    }
}

/// Cuts the middle out of a text that is longer than `chars`: commands are known by their beginning, paths by their end.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    let length = text.chars().count();
    if length <= chars {
        return text.to_owned();
    }
    let tail = chars / 3;
    let head = chars.saturating_sub(tail).saturating_sub(1);
    let beginning: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length.saturating_sub(tail)).collect();
    format!("{beginning}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_both_ends() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("a/very/long/path/name.rs", 13), "a/very/l…e.rs");
        assert_eq!(cut("ééééééé", 4).chars().count(), 4);
    }
}
