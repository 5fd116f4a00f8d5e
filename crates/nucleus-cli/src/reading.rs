//! A text that a person must have read before they answer: line by line, wrapped, and aware of what stood on the screen.

use nucleus_wire::approvals::DIFF_MARK;
use nucleus_wire::control::ApprovalView;
use nucleus_wire::display::escape;

use crate::screen::style::{Style, Tone};

/// Starts each line of a rendering.
const MARGIN: &str = "  │ ";
/// Starts each row that goes on with the line above: text of the agent's cannot begin one and pose as a line of its own.
const GOES_ON: &str = "  ┆ ";
/// Fewest columns a text is wrapped to.
pub(crate) const COLUMNS_MIN: usize = 20;

/// A line of trusted making, or one that is marked as the agent's; escaped either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    tone: Option<Tone>,
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self { text, tone: None }
    }
}

impl Line {
    /// A line in a colour.
    pub(crate) fn in_tone(tone: Tone, text: String) -> Self {
        Self { text, tone: Some(tone) }
    }

    /// The line as a whole, in its colour.
    pub(crate) fn paint(&self, style: Style) -> String {
        self.tone.map_or_else(|| self.text.clone(), |tone| style.paint(tone, &self.text))
    }

    /// The line in rows of at most `columns`, each in its colour.
    pub(crate) fn rows(&self, columns: usize) -> Vec<Self> {
        let text = wrap(&self.text, columns.max(COLUMNS_MIN));
        text.into_iter().map(|text| Self { text, tone: self.tone }).collect()
    }
}

/// What would be done, as the enforcement side rendered it, line by line.
pub(crate) fn rendered(view: &ApprovalView) -> Vec<Line> {
    let tone = |line: &str| match line.strip_prefix(DIFF_MARK)?.as_bytes() {
        [b'+', ..] => Some(Tone::Good),
        [b'-', ..] => Some(Tone::Bad),
        [b'@', ..] => Some(Tone::Dim),
        _ => None,
    };
    view.rendering
        .lines()
        .map(|line| Line { text: format!("{MARGIN}{}", escape(line)), tone: tone(line) })
        .collect()
}

/// A text being read on a screen.
#[derive(Debug)]
pub(crate) struct Reading {
    rows: Vec<Line>,
    columns: usize,
    /// It is all there is to read.
    complete: bool,
    top: usize,
    /// Rows on the screen since the last step.
    shown: usize,
    /// Rows from the first on that stood on the screen, without a gap.
    seen: usize,
}

impl Reading {
    /// Nothing of it has been read. `complete` says that nothing was left out of it.
    pub(crate) fn new(lines: &[Line], columns: usize, complete: bool) -> Self {
        let rows = lines.iter().flat_map(|line| line.rows(columns)).collect();
        Self { rows, columns, complete, top: 0, shown: 0, seen: 0 }
    }

    /// Columns it is wrapped to.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The rows to stand on the screen now, at most `room` of them. They count as read: whoever asks shows them.
    pub(crate) fn show(&mut self, room: usize, style: Style) -> Vec<String> {
        let rows: Vec<String> =
            self.rows.iter().skip(self.top).take(room).map(|row| row.paint(style)).collect();
        self.shown = rows.len();
        // INVARIANT: `top` is never beyond `seen`, so no row is between them.
        self.seen = self.seen.max(self.top.saturating_add(rows.len()));
        rows
    }

    /// Rows below what is on the screen.
    pub(crate) fn below(&self) -> usize {
        self.rows.len().saturating_sub(self.top).saturating_sub(self.shown)
    }

    /// To the first row that was not shown. Without a look at the screen in between there is none.
    pub(crate) fn forward(&mut self) {
        if self.below() > 0 {
            self.top = self.top.saturating_add(self.shown);
            self.shown = 0;
        }
    }

    /// Back by what is on the screen.
    pub(crate) fn back(&mut self) {
        self.top = self.top.saturating_sub(self.shown);
        self.shown = 0;
    }

    /// Every row stood on the screen, and none was left out.
    pub(crate) fn is_read(&self) -> bool {
        self.complete && self.seen >= self.rows.len()
    }
}

/// The beginning of a line that fits.
pub(crate) fn cut(line: &str, columns: usize) -> String {
    wrap(line, columns).into_iter().next().unwrap_or_default()
}

fn wrap(line: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    let mut used = 0_usize;
    for c in line.chars() {
        if used.saturating_add(width(c)) > columns {
            rows.push(std::mem::replace(&mut row, GOES_ON.to_owned()));
            used = GOES_ON.chars().count();
        }
        used = used.saturating_add(width(c));
        row.push(c);
    }
    rows.push(row);
    rows
}

/// Columns a character may take: what is not ASCII may be wide.
fn width(c: char) -> usize {
    if c.is_ascii() || matches!(c, '│' | '┆' | '─' | '…') { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[String]) -> Vec<Line> {
        texts.iter().cloned().map(Line::from).collect()
    }

    fn plain() -> Style {
        Style::new(false, None)
    }

    #[test]
    fn no_row_is_skipped_and_none_is_read_that_was_not_shown() {
        for room in [1, 2, 3, 7, 50] {
            let texts: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
            let mut reading = Reading::new(&lines(&texts), 80, true);
            let mut seen = Vec::new();
            while !reading.is_read() {
                // Impatient fingers skip nothing: without a look there is no next part.
                reading.forward();
                reading.forward();
                seen.extend(reading.show(room, plain()));
            }
            assert_eq!(seen, texts, "{room}");
        }
        let mut nothing = Reading::new(&lines(&["a".to_owned()]), 80, true);
        assert!(nothing.show(0, plain()).is_empty() && !nothing.is_read());
        let mut part = Reading::new(&lines(&["a".to_owned()]), 80, false);
        assert!(!part.show(9, plain()).is_empty() && !part.is_read(), "all of what is not all");
    }

    #[test]
    fn a_window_that_changes_its_height_skips_nothing() {
        let texts: Vec<String> = (0..30).map(|n| format!("line {n}")).collect();
        let mut reading = Reading::new(&lines(&texts), 80, true);
        reading.show(4, plain());
        reading.forward();
        assert_eq!(reading.show(20, plain()).first().unwrap(), "line 4");
        reading.forward();
        assert_eq!(reading.show(2, plain()), ["line 24", "line 25"]);
        reading.back();
        assert_eq!(reading.show(2, plain()), ["line 22", "line 23"]);
        assert!(!reading.is_read());
    }

    #[test]
    fn a_row_that_goes_on_is_no_line_of_ours() {
        let posed = format!("{MARGIN}agent text │ {}program: /usr/bin/true", "x".repeat(13));
        let rows = Line::from(posed).rows(30);
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(texts, ["  │ agent text │ xxxxxxxxxxxxx", "  ┆ program: /usr/bin/true"]);
    }

    #[test]
    fn only_the_lines_of_a_diff_are_coloured() {
        let view: ApprovalView = serde_json::from_value(serde_json::json!({
            "id": "aaaa", "operation": "", "rule": "", "digest": "", "expires_in_s": 1,
            "rendering": "a\nagent diff │ @@ 1 @@\nagent diff │ -b\nagent diff │ +c\nagent text │ +d",
        }))
        .unwrap();
        assert!(!view.complete, "who does not say that it is all of it has not shown it");
        let shown = |colour| -> Vec<String> {
            rendered(&view).iter().map(|line| line.paint(Style::new(colour, None))).collect()
        };
        assert_eq!(
            shown(true),
            [
                "  │ a",
                "\u{1b}[2m  │ agent diff │ @@ 1 @@\u{1b}[0m",
                "\u{1b}[31m  │ agent diff │ -b\u{1b}[0m",
                "\u{1b}[32m  │ agent diff │ +c\u{1b}[0m",
                "  │ agent text │ +d"
            ]
        );
        assert!(!shown(false).concat().contains('\u{1b}'));
    }
}
