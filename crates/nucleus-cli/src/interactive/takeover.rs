//! The relay's own screen, which only the user can call up. While it stands nothing of the agent's is shown and nothing
//! typed reaches the agent.

use nucleus_wire::control::ApprovalView;

use crate::prompt::{Answer, parse_answer};
use crate::reading::{COLUMNS_MIN, Line, Reading, cut};
use crate::screen::style::Style;

/// Longest line typed, in characters.
const LINE_CHARS_MAX: usize = 500;
/// Rows below the request: a blank line, what can be typed, a note, the line itself, and one that is free.
const OTHER_ROWS: usize = 6;
/// What the user wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing yet.
    Stay,
    /// Back to the agent.
    Back,
    /// An answer to the request shown.
    Decide {
        /// Granted or refused.
        approve: bool,
        /// Words for the agent.
        reason: Option<String>,
    },
    /// Let the task go on alone.
    Detach,
    /// End the task.
    Stop,
}

/// The screen's state.
#[derive(Debug, Default)]
pub(crate) struct Takeover {
    typed: String,
    note: String,
    /// The request that is shown.
    shown: Option<Shown>,
    /// In the midst of an escape sequence, which no line holds.
    escape: Vec<u8>,
}

#[derive(Debug)]
struct Shown {
    id: String,
    reading: Reading,
}

impl Takeover {
    /// Shows a request, in lines as `described`. If it is another one, what was typed was not for it; a screen of another
    /// width must be read anew.
    pub(crate) fn turn_to(
        &mut self,
        request: Option<&ApprovalView>,
        described: impl Fn(&ApprovalView) -> Vec<Line>,
        columns: usize,
    ) {
        let shown = self.shown.as_ref();
        let same_id = shown.map(|shown| &shown.id) == request.map(|view| &view.id);
        if !same_id {
            self.typed.clear();
        }
        if !same_id || shown.is_some_and(|shown| shown.reading.columns() != columns) {
            self.shown = request.map(|view| Shown {
                id: view.id.clone(),
                reading: Reading::new(&described(view), columns, view.complete),
            });
        }
    }

    /// Says something at the next drawing.
    pub(crate) fn say(&mut self, note: &str) {
        note.clone_into(&mut self.note);
    }

    /// Takes typing.
    pub(crate) fn typed(&mut self, bytes: &[u8]) -> Wish {
        for byte in bytes {
            if !self.escape.is_empty() {
                self.within_escape(*byte);
                continue;
            }
            match byte {
                b'\r' | b'\n' => {
                    let wish = self.enter();
                    if wish != Wish::Stay {
                        return wish;
                    }
                }
                0x1b => self.escape.push(0x1b),
                0x03 => self.typed.clear(),
                0x08 | 0x7f => {
                    self.typed.pop();
                }
                0x20..=0x7e if self.typed.chars().count() < LINE_CHARS_MAX => {
                    self.typed.push(char::from(*byte));
                }
                _ => {}
            }
        }
        Wish::Stay
    }

    /// Drops a sequence of the terminal's: cursor keys, late answers.
    fn within_escape(&mut self, byte: u8) {
        self.escape.push(byte);
        let ended = match self.escape.get(1) {
            Some(b'[') => self.escape.len() > 2 && matches!(byte, 0x40..=0x7e),
            Some(b']' | b'P') => byte == 0x07 || self.escape.ends_with(b"\x1b\\"),
            Some(b'O') => self.escape.len() > 2,
            _ => true,
        };
        if ended {
            self.escape.clear();
        }
    }

    fn enter(&mut self) -> Wish {
        let line = std::mem::take(&mut self.typed);
        self.note.clear();
        match (line.trim(), &mut self.shown) {
            ("", Some(shown)) if shown.reading.below() > 0 => {
                shown.reading.forward();
                Wish::Stay
            }
            ("" | "back", _) => Wish::Back,
            ("detach", _) => Wish::Detach,
            ("stop", _) => Wish::Stop,
            (line, _) => self.answer(line),
        }
    }

    fn answer(&mut self, line: &str) -> Wish {
        let Some(Shown { id, reading }) = &self.shown else {
            self.say("no request waits");
            return Wish::Stay;
        };
        match parse_answer(id, line) {
            Answer::Approve if !reading.is_read() => {
                self.say("read all of it first: Enter shows the next part");
                Wish::Stay
            }
            Answer::Approve => Wish::Decide { approve: true, reason: None },
            Answer::Refuse(reason) => Wish::Decide { approve: false, reason },
            Answer::Unclear => {
                self.note = format!("type {id} to approve, or `no` to refuse");
                Wish::Stay
            }
        }
    }

    /// The whole screen: `head` above, the request as far as it is being read, `more` below when there is room.
    pub(crate) fn draw(
        &mut self,
        head: &str,
        more: &[Line],
        size: (u16, u16),
        style: Style,
    ) -> String {
        let (height, columns) = (usize::from(size.0), usize::from(size.1));
        let title = Line::from(head.to_owned()).rows(columns);
        let mut lines: Vec<String> = title.iter().map(|row| row.paint(style)).collect();
        lines.push(String::new());
        let above = lines.len();
        let room = height.saturating_sub(OTHER_ROWS).saturating_sub(above);
        // What would not be on the screen is not shown, and so not read.
        let fits = columns >= COLUMNS_MIN && room > 0;
        let mut below = 0;
        if let Some(Shown { reading, .. }) = &mut self.shown {
            lines.extend(reading.show(if fits { room } else { 0 }, style));
            below = reading.below();
        }
        if below == 0 {
            let left = room.saturating_sub(lines.len().saturating_sub(above));
            let more: Vec<Line> = more.iter().flat_map(|line| line.rows(columns)).collect();
            let from = more.len().saturating_sub(left);
            lines.extend(more.iter().skip(from).map(|row| row.paint(style)));
        }
        lines.push(String::new());
        let next = match &self.shown {
            Some(_) if !fits => "  make this window larger to read the request".to_owned(),
            Some(_) if below > 0 => format!("  {below} lines more: Enter shows the next"),
            Some(Shown { id, .. }) => {
                format!("  {id} + Enter approves once · no [reason] refuses · Enter goes back")
            }
            None => "  Enter goes back to the agent".to_owned(),
        };
        lines.push(cut(&next, columns));
        lines.push(cut("  detach: leave the task running · stop: end it", columns));
        lines.push(cut(&format!("  {}", self.note), columns));
        lines.truncate(height.saturating_sub(1).max(1));
        format!("\x1b[H\x1b[2J{}\r\n> {}", lines.join("\r\n"), self.typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> ApprovalView {
        ApprovalView {
            id: id.to_owned(),
            operation: "run_bash".to_owned(),
            rule: "obligation".to_owned(),
            rendering: String::new(),
            complete: true,
            digest: String::new(),
            expires_in_s: 300,
            principal: String::new(),
            target: String::new(),
            nonce: String::new(),
        }
    }

    fn lines(texts: &[String]) -> Vec<Line> {
        texts.iter().cloned().map(Line::from).collect()
    }

    /// Turns to a request of these lines and draws it.
    fn draw(takeover: &mut Takeover, id: &str, body: &[String], size: (u16, u16)) -> String {
        takeover.turn_to(Some(&request(id)), |_| lines(body), usize::from(size.1));
        takeover.draw("nucleus", &[], size, Style::new(false, None))
    }

    #[test]
    fn only_the_exact_id_of_the_request_shown_approves() {
        let (mut takeover, size) = (Takeover::default(), (24, 80));
        let body = ["short".to_owned()];
        draw(&mut takeover, "k7f2", &body, size);
        assert_eq!(takeover.typed(b"yes\r"), Wish::Stay);
        assert_eq!(takeover.typed(b"k7f"), Wish::Stay);
        draw(&mut takeover, "p3q4", &body, size);
        assert_eq!(takeover.typed(b"2\r"), Wish::Stay, "typing for another request is gone");
        assert_eq!(
            takeover.typed(b"\x1b[12;4Rp3q4\r"),
            Wish::Decide { approve: true, reason: None }
        );
        assert_eq!(
            takeover.typed(b"no use a branch\r"),
            Wish::Decide { approve: false, reason: Some("use a branch".to_owned()) }
        );
    }

    #[test]
    fn what_is_longer_than_the_screen_must_be_read_to_its_end_first() {
        let body: Vec<String> = (0..40).map(|n| format!("line {n:02}")).collect();
        for size in [(24, 80), (9, 80), (12, 20)] {
            let mut takeover = Takeover::default();
            let mut seen = String::new();
            for part in 0.. {
                assert!(part < 60, "it could never be approved: {seen}");
                seen.push_str(&draw(&mut takeover, "k7f2", &body, size));
                if takeover.typed(b"k7f2\r") != Wish::Stay {
                    break;
                }
                assert_eq!(takeover.typed(b"\r"), Wish::Stay);
                // Typed ahead, before the next part is on the screen: it is not skipped.
                if !seen.contains("line 30") {
                    assert_eq!(takeover.typed(b"k7f2\r"), Wish::Stay);
                }
            }
            for line in &body {
                assert!(seen.contains(line), "{size:?}: {line} was never shown");
            }
        }
        // Control: one that is on the screen at once.
        let mut takeover = Takeover::default();
        draw(&mut takeover, "k7f2", &["short".to_owned()], (24, 80));
        assert_eq!(takeover.typed(b"k7f2\r"), Wish::Decide { approve: true, reason: None });
    }

    #[test]
    fn what_no_screen_held_was_not_read() {
        let mut takeover = Takeover::default();
        for size in [(8, 80), (2, 80), (24, 19)] {
            let drawn = draw(&mut takeover, "k7f2", &["short".to_owned()], size);
            assert!(!drawn.contains("short"), "{drawn}");
            assert_eq!(takeover.typed(b"k7f2\r"), Wish::Stay, "{size:?}");
        }
        let partial = ApprovalView { complete: false, ..request("p3q4") };
        takeover.turn_to(Some(&partial), |_| lines(&["short".to_owned()]), 80);
        takeover.draw("nucleus", &[], (24, 80), Style::new(false, None));
        assert_eq!(takeover.typed(b"p3q4\r"), Wish::Stay);
    }

    #[test]
    fn a_screen_is_never_taller_than_the_terminal() {
        let body = ["x".repeat(4_000), "é".repeat(4_000)];
        for size in [(24, 80), (10, 20), (9, 8), (3, 40)] {
            let mut takeover = Takeover::default();
            let columns = usize::from(size.1);
            takeover.turn_to(Some(&request("k7f2")), |_| lines(&body), columns);
            let drawn = takeover.draw("nucleus", &lines(&body), size, Style::new(false, None));
            assert!(drawn.matches("\r\n").count() < usize::from(size.0), "{size:?}\n{drawn}");
        }
    }
}
