//! The relay's own screen, which only the user can call up. While it stands nothing of the agent's is shown and nothing
//! typed reaches the agent.

use nucleus_wire::control::ApprovalView;

use crate::prompt::{Answer, parse_answer};

/// Longest line typed, in characters.
const LINE_CHARS_MAX: usize = 500;
/// Rows besides the pages: title, blank line, what can be typed, the line itself.
const OTHER_ROWS: usize = 8;

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
    page: usize,
    /// Which request is shown.
    shown: Option<String>,
    /// In the midst of an escape sequence, which no line holds.
    escape: Vec<u8>,
}

impl Takeover {
    /// Shows another request: what was typed was not for it.
    pub(crate) fn turn_to(&mut self, request: Option<&ApprovalView>) {
        let id = request.map(|view| view.id.clone());
        if self.shown != id {
            self.shown = id;
            self.typed.clear();
            self.page = 0;
        }
    }

    /// Says something at the next drawing.
    pub(crate) fn say(&mut self, note: &str) {
        note.clone_into(&mut self.note);
    }

    /// Takes typing; `pages` is how many the request has.
    pub(crate) fn typed(&mut self, bytes: &[u8], pages: usize) -> Wish {
        for byte in bytes {
            if !self.escape.is_empty() {
                self.within_escape(*byte);
                continue;
            }
            match byte {
                b'\r' | b'\n' => {
                    let wish = self.enter(pages);
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

    fn enter(&mut self, pages: usize) -> Wish {
        let line = std::mem::take(&mut self.typed);
        self.note.clear();
        match line.trim() {
            "" if self.page + 1 < pages => {
                self.page += 1;
                Wish::Stay
            }
            "" | "back" => Wish::Back,
            "detach" => Wish::Detach,
            "stop" => Wish::Stop,
            line => self.answer(line, pages),
        }
    }

    fn answer(&mut self, line: &str, pages: usize) -> Wish {
        let Some(id) = self.shown.clone() else {
            self.say("no request waits");
            return Wish::Stay;
        };
        match parse_answer(&id, line) {
            Answer::Approve if self.page + 1 < pages => {
                self.say("read all of it first: Enter shows the next part");
                Wish::Stay
            }
            Answer::Approve => Wish::Decide { approve: true, reason: None },
            Answer::Refuse(reason) => Wish::Decide { approve: false, reason },
            Answer::Unclear => {
                self.say(&format!("type {id} to approve, or `no` to refuse"));
                Wish::Stay
            }
        }
    }

    /// The whole screen: `head` above, `body` in pages, `more` below when there is room.
    pub(crate) fn draw(
        &self,
        head: &str,
        body: &[String],
        more: &[String],
        size: (u16, u16),
    ) -> String {
        let room = page_rows(size);
        let mut lines = vec![head.to_owned(), String::new()];
        let parts = rows(body, size);
        let pages = parts.len().div_ceil(room).max(1);
        let part: Vec<&String> =
            parts.iter().skip(self.page.saturating_mul(room)).take(room).collect();
        let left = room.saturating_sub(part.len());
        lines.extend(part.into_iter().cloned());
        if pages == 1 {
            let more = rows(more, size);
            let from = more.len().saturating_sub(left);
            lines.extend(more.into_iter().skip(from));
        }
        lines.push(String::new());
        lines.push(match (&self.shown, self.page + 1 < pages) {
            (_, true) => format!("  part {} of {pages}: Enter shows the next", self.page + 1),
            (Some(id), false) => {
                format!("  {id} + Enter approves once · no [reason] refuses · Enter goes back")
            }
            (None, false) => "  Enter goes back to the agent".to_owned(),
        });
        lines.push("  detach: leave the task running · stop: end it".to_owned());
        lines.push(format!("  {}", self.note));
        format!("\x1b[H\x1b[2J{}\r\n> {}", lines.join("\r\n"), self.typed)
    }
}

/// How many pages these lines have on a terminal of this size.
pub(crate) fn pages(body: &[String], size: (u16, u16)) -> usize {
    rows(body, size).len().div_ceil(page_rows(size)).max(1)
}

fn page_rows(size: (u16, u16)) -> usize {
    usize::from(size.0).saturating_sub(OTHER_ROWS).max(1)
}

/// Lines cut to rows of the terminal, so that none is taller than the page thinks it is. Colours count as columns here:
/// a row may be shorter than it could be, never longer.
fn rows(lines: &[String], size: (u16, u16)) -> Vec<String> {
    // Half the width: what is escaped is narrow, but some characters take two columns.
    let width = usize::from(size.1).max(8) / 2;
    let mut rows = Vec::new();
    for line in lines {
        let wide = !line.is_ascii();
        let width = if wide { width } else { width * 2 };
        let chars: Vec<char> = line.chars().collect();
        if chars.is_empty() {
            rows.push(String::new());
        }
        rows.extend(chars.chunks(width).map(|part| part.iter().collect::<String>()));
    }
    rows
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
            digest: String::new(),
            expires_in_s: 300,
            principal: String::new(),
            target: String::new(),
            nonce: String::new(),
        }
    }

    #[test]
    fn only_the_exact_id_of_the_request_shown_approves() {
        let mut takeover = Takeover::default();
        takeover.turn_to(Some(&request("k7f2")));
        assert_eq!(takeover.typed(b"yes\r", 1), Wish::Stay);
        assert_eq!(takeover.typed(b"k7f", 1), Wish::Stay);
        takeover.turn_to(Some(&request("p3q4")));
        assert_eq!(takeover.typed(b"2\r", 1), Wish::Stay, "typing for another request is gone");
        assert_eq!(
            takeover.typed(b"\x1b[12;4Rp3q4\r", 1),
            Wish::Decide { approve: true, reason: None }
        );
        assert_eq!(
            takeover.typed(b"no use a branch\r", 1),
            Wish::Decide { approve: false, reason: Some("use a branch".to_owned()) }
        );
    }

    #[test]
    fn what_is_longer_than_the_screen_must_be_paged_through_first() {
        let body: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
        let size = (24, 80);
        assert_eq!(pages(&body, size), 3);
        let mut takeover = Takeover::default();
        takeover.turn_to(Some(&request("k7f2")));
        assert_eq!(takeover.typed(b"k7f2\r", 3), Wish::Stay);
        assert!(takeover.draw("nucleus", &body, &[], size).contains("line 0\r"));
        assert_eq!(takeover.typed(b"\r\r", 3), Wish::Stay);
        assert!(takeover.draw("nucleus", &body, &[], size).contains("line 39\r"));
        assert_eq!(takeover.typed(b"k7f2\r", 3), Wish::Decide { approve: true, reason: None });
    }

    #[test]
    fn a_screen_is_never_taller_than_the_terminal() {
        let body = vec!["x".repeat(4_000), "é".repeat(4_000)];
        for size in [(24, 80), (10, 20), (9, 8)] {
            let takeover = Takeover::default();
            let drawn = takeover.draw("nucleus", &body, &body, size);
            assert!(drawn.matches("\r\n").count() < usize::from(size.0), "{size:?}\n{drawn}");
        }
    }
}
