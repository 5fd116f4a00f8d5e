//! What the user sees while a task runs, on standard error: the feed, questions and the closing summary.

mod feed;
pub(crate) mod style;
mod summary;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nucleus_report::amount::duration;
use nucleus_wire::control::{ApprovalView, FeedEvent, FeedStatus, Started, Summary};
use nucleus_wire::display::{escape, escape_block};

use crate::environment::Environment;
use crate::reading::{Line, Reading, rendered};
use style::{Style, Tone, cut};

/// A call that runs longer than this is shown as running, on a terminal.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Size of a terminal that does not tell its own.
const SIZE: (usize, usize) = (24, 80);
/// Rows beside a question: what was there before, what can be typed, and the line itself.
const OTHER_ROWS: usize = 4;
/// Rows of a question shown at once in the smallest terminal: it scrolls, so nothing is lost.
const ROWS_MIN: usize = 10;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Every call.
    Normal,
    /// Only refusals, failures, questions and the summary.
    Quiet,
}

/// Writer of the feed.
#[derive(Debug)]
pub(crate) struct Screen {
    verbosity: Verbosity,
    style: Style,
    /// Standard error is a terminal that takes control sequences.
    moves: bool,
    /// Standard output goes to the same person.
    shares_terminal: bool,
    home: Option<PathBuf>,
    running: BTreeMap<u64, (String, Instant)>,
    progress_open: bool,
    /// The payload's last byte on the shared terminal was not a line's end.
    mid_line: bool,
}

impl Screen {
    /// A screen on standard error; colour as [`Environment::colours`] says.
    pub(crate) fn new(verbosity: Verbosity, env: &Environment) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let moves = terminal && env.get("TERM") != Some("dumb");
        let colour = env.colours(terminal);
        let columns = rustix::termios::tcgetwinsize(std::io::stderr())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|n| *n > 0);
        Self {
            verbosity,
            style: Style::new(colour, columns.filter(|_| terminal)),
            moves,
            shares_terminal: terminal && std::io::stdout().is_terminal(),
            home: env.home().ok(),
            running: BTreeMap::new(),
            progress_open: false,
            mid_line: false,
        }
    }

    /// The first block: what holds.
    pub(crate) fn started(&mut self, started: &Started) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let digest: String = started.policy_digest.chars().take(12).collect();
        let name = self.style.paint(Tone::Bold, "nucleus");
        self.line(&format!("{name} session {}", started.session));
        self.line(&format!("  policy    {} ({digest})", escape(&started.policy)));
        let degraded: Vec<String> = started
            .enforcement
            .iter()
            .filter(|(_, level)| level.as_str() != "full")
            .map(|(layer, level)| format!("{layer} {}", escape(level)))
            .collect();
        let driver =
            format!("  isolation {} driver, workspace {}", started.driver, started.workspace_mode);
        if degraded.is_empty() {
            self.line(&format!("{driver}, all {} layers full", started.enforcement.len()));
        } else {
            self.line(&format!("{driver}, {} layers full except", started.enforcement.len()));
            for layer in degraded {
                self.line(&format!("            {layer}"));
            }
        }
        let note = self.style.paint(Tone::Ask, "note");
        for text in &started.notes {
            self.line(&format!("  {note}      {}", escape(text)));
        }
        self.line("");
    }

    /// One line of the feed.
    pub(crate) fn feed(&mut self, event: &FeedEvent) {
        if event.status == FeedStatus::Allowed {
            // The end of the call says more; until then it is shown as running.
            self.running.insert(
                event.call,
                (format!("{:<8} {}", escape(&event.tool), escape(&event.target)), Instant::now()),
            );
            return;
        }
        self.running.remove(&event.call);
        let loud =
            matches!(event.status, FeedStatus::Denied | FeedStatus::Waiting | FeedStatus::Failed);
        if self.verbosity == Verbosity::Normal || loud {
            self.line(&feed::line(self.style, event));
        }
    }

    /// Time has passed: says what still runs, in one line that the next one replaces. Nothing off a terminal.
    pub(crate) fn tick(&mut self) {
        if !self.moves || self.mid_line || self.verbosity == Verbosity::Quiet {
            return;
        }
        let now = Instant::now();
        let due = |began: &Instant| now.saturating_duration_since(*began) >= PROGRESS_AFTER;
        let Some((text, began)) = self.running.values().find(|(_, began)| due(began)) else {
            return;
        };
        let elapsed = now.saturating_duration_since(*began).as_secs().saturating_mul(1_000);
        let time = duration(u64::from(u32::try_from(elapsed).unwrap_or(u32::MAX)));
        let others = match self.running.len() {
            0 | 1 => String::new(),
            n => format!(", {} more run", n.saturating_sub(1)),
        };
        let tail = format!("  running {time}{others}");
        let room = self.style.columns().saturating_sub(tail.chars().count()).saturating_sub(3);
        let text = format!("… {}{tail}", cut(text, room));
        let mut err = std::io::stderr().lock();
        let _gone = write!(err, "\r\x1b[K{}", self.style.paint(Tone::Dim, &text))
            .and_then(|()| err.flush());
        self.progress_open = true;
    }

    /// A question to be answered here, as far as it fits on the screen; [`Screen::part`] shows the rest.
    pub(crate) fn ask(&mut self, view: &ApprovalView) -> Reading {
        let (_, columns) = self.size();
        let mut reading = Reading::new(&self.question(view), columns, view.complete);
        self.line("");
        self.line(&format!("  refused in {} s unless answered", view.expires_in_s));
        self.part(&view.id, &mut reading);
        reading
    }

    /// The next part of a question.
    pub(crate) fn part(&mut self, id: &str, reading: &mut Reading) {
        reading.forward();
        let room = self.size().0.saturating_sub(OTHER_ROWS).max(ROWS_MIN);
        for row in reading.show(room, self.style) {
            self.line(&row);
        }
        let id = self.style.paint(Tone::Bold, id);
        self.line(&match reading.below() {
            0 => format!(
                "  type {id} to approve once, or `no` (with a reason, if you like) to refuse:"
            ),
            below => format!(
                "  {below} lines more: return shows the next, `nucleus approvals show {id}` all; `no` refuses:"
            ),
        });
    }

    /// A question that is answered elsewhere.
    pub(crate) fn asked_elsewhere(&mut self, view: &ApprovalView) {
        let view = view.clone().shortened();
        self.line("");
        for line in self.question(&view) {
            self.line(&line.paint(self.style));
        }
        let (id, left) = (&view.id, view.expires_in_s);
        self.line(&format!(
            "  answer elsewhere within {left} s: nucleus approvals approve {id}, or deny {id}"
        ));
    }

    /// The question in lines.
    pub(crate) fn question(&self, view: &ApprovalView) -> Vec<Line> {
        let title =
            format!("? {} needs approval ({})", escape(&view.operation), escape(&view.rule));
        let mut lines = vec![Line::in_tone(Tone::Ask, title)];
        lines.extend(rendered(view));
        let digest: String = view.digest.chars().take(16).collect();
        lines.push(format!("  arguments sha256 {digest}…").into());
        lines
    }

    /// How lines are dressed.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Rows and columns of the terminal.
    fn size(&self) -> (usize, usize) {
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        size.filter(|size| size.ws_row > 0 && size.ws_col > 0)
            .map_or(SIZE, |size| (usize::from(size.ws_row), usize::from(size.ws_col)))
    }

    /// A line of the feed, without colour.
    pub(crate) fn feed_text(&self, event: &FeedEvent) -> String {
        feed::line(self.style.plain(), event)
    }

    /// What became of a request.
    pub(crate) fn settled(&mut self, id: &str, operation: Option<&str>, outcome: &str) {
        let (mark, tone, words) = match outcome {
            "granted" => ("✓", Tone::Good, "granted, once"),
            "refused" => ("✗", Tone::Bad, "refused by you"),
            "expired" => ("✗", Tone::Bad, "refused: nobody answered in time"),
            "withdrawn" => ("✗", Tone::Dim, "withdrawn: the task ended"),
            other => ("·", Tone::Dim, other),
        };
        let operation = operation.unwrap_or("request");
        self.line(&format!(
            "{} approval {} {id}: {}",
            self.style.paint(tone, mark),
            escape(operation),
            escape(words)
        ));
    }

    /// Bytes of the payload: as they are to a pipe or file, made safe for a terminal.
    ///
    /// # Errors
    /// Nobody reads them.
    pub(crate) fn output(&mut self, stream: &str, text: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.close_progress();
        if self.shares_terminal || std::io::stderr().is_terminal() && stream == "stderr" {
            self.mid_line = !text.ends_with('\n');
        }
        if stream == "stderr" {
            let mut err = std::io::stderr().lock();
            let safe = err.is_terminal().then(|| escape_block(text));
            err.write_all(safe.as_deref().map_or(bytes, str::as_bytes))?;
            return err.flush();
        }
        let mut out = std::io::stdout().lock();
        let safe = out.is_terminal().then(|| escape_block(text));
        out.write_all(safe.as_deref().map_or(bytes, str::as_bytes))?;
        out.flush()
    }

    /// A line of Nucleus's own.
    pub(crate) fn say(&mut self, text: &str) {
        self.line(text);
    }

    /// The closing summary.
    pub(crate) fn summary(&mut self, summary: &Summary) {
        for line in summary::lines(self.style, summary, self.home.as_deref()) {
            self.line(&line);
        }
    }

    /// Ends whatever stands unfinished on the terminal's current line.
    pub(crate) fn close(&mut self) {
        self.close_progress();
        if std::mem::take(&mut self.mid_line) {
            let mut err = std::io::stderr().lock();
            let _gone = writeln!(err);
        }
    }

    fn line(&mut self, text: &str) {
        self.close();
        let mut err = std::io::stderr().lock();
        // A closed standard error must not end the task.
        let _gone = writeln!(err, "{text}");
    }

    fn close_progress(&mut self) {
        if std::mem::take(&mut self.progress_open) {
            let mut err = std::io::stderr().lock();
            let _gone = write!(err, "\r\x1b[K");
        }
    }
}
