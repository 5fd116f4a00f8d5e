//! What the user sees while a task runs: the feed, prompts' frames and the closing summary, on standard error.

use std::io::{IsTerminal, Write};

use nucleus_wire::control::{ApprovalView, FeedEvent, FeedStatus, FileChange, Started, Summary};
use nucleus_wire::display::{escape, escape_block, escape_short};

use crate::environment::Environment;

/// Width the target column is cut to, in characters.
const TARGET_CHARS_MAX: usize = 64;
/// Paths listed per group in the summary before the rest is counted.
const PATHS_SHOWN_MAX: usize = 20;

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
    colour: bool,
    progress_open: bool,
}

/// The colours used, as SGR parameters.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Good,
    Bad,
    Ask,
    Dim,
    Bold,
}

impl Screen {
    /// A screen on standard error; colour only on a terminal without `NO_COLOR` (no-color.org).
    pub(crate) fn new(verbosity: Verbosity, env: &Environment) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb");
        Self { verbosity, colour, progress_open: false }
    }

    /// The first block: what holds.
    pub(crate) fn started(&mut self, started: &Started) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let digest: String = started.policy_digest.chars().take(12).collect();
        self.line(&format!(
            "{} session {} · policy {} ({digest}) · driver {} · workspace {}",
            self.paint(Tone::Bold, "nucleus"),
            started.session,
            escape(&started.policy),
            started.driver,
            started.workspace_mode
        ));
        let degraded: Vec<String> = started
            .enforcement
            .iter()
            .filter(|(_, level)| level.as_str() != "full")
            .map(|(layer, level)| format!("{layer} {}", escape(level)))
            .collect();
        if degraded.is_empty() {
            self.line(&format!("  isolation: all {} layers full", started.enforcement.len()));
        } else {
            self.line(&format!("  isolation: full except {}", degraded.join(", ")));
        }
        for note in &started.notes {
            self.line(&format!("  {} {}", self.paint(Tone::Ask, "note:"), escape(note)));
        }
    }

    /// One line of the feed.
    pub(crate) fn feed(&mut self, event: &FeedEvent) {
        let loud = matches!(event.status, FeedStatus::Denied | FeedStatus::Waiting | FeedStatus::Failed);
        if self.verbosity == Verbosity::Quiet && !loud {
            return;
        }
        if event.status == FeedStatus::Allowed {
            return; // the end of the call says more; long calls report progress
        }
        let (mark, tone) = match event.status {
            FeedStatus::Allowed | FeedStatus::Progress => ("…", Tone::Dim),
            FeedStatus::Done => ("✓", Tone::Good),
            FeedStatus::Failed => ("!", Tone::Ask),
            FeedStatus::Denied => ("✗", Tone::Bad),
            FeedStatus::Waiting => ("?", Tone::Ask),
        };
        let mut line = format!(
            "{} {:<8} {}",
            self.paint(tone, mark),
            escape(&event.tool),
            escape_short(&event.target, TARGET_CHARS_MAX)
        );
        if event.status == FeedStatus::Denied {
            let layer = event.layer.as_deref().unwrap_or("policy");
            let rule = event.rule.as_deref().unwrap_or("deny.internal");
            line.push_str(&format!("  {} {}", self.paint(Tone::Bad, &format!("refused by {layer}:")), escape(rule)));
        } else if let Some(rule) = &event.rule {
            line.push_str(&format!("  {}", escape(rule)));
        }
        if let Some(detail) = &event.detail {
            line.push_str(&format!("  {}", self.paint(Tone::Dim, &escape_short(detail, 80))));
        }
        if let Some(ms) = event.duration_ms {
            line.push_str(&format!("  {}", self.paint(Tone::Dim, &duration(ms))));
        }
        if event.status == FeedStatus::Progress && std::io::stderr().is_terminal() {
            self.transient(&line);
        } else {
            self.line(&line);
        }
    }

    /// The question itself; the answer is read by the prompt.
    pub(crate) fn approval(&mut self, view: &ApprovalView, answerable: bool) {
        self.line("");
        self.line(&format!(
            "{} {} needs approval ({}), refused in {} s",
            self.paint(Tone::Ask, "?"),
            self.paint(Tone::Bold, &escape(&view.operation)),
            escape(&view.rule),
            view.expires_in_s
        ));
        for line in view.rendering.lines() {
            self.line(&format!("  │ {}", escape(line)));
        }
        let digest: String = view.digest.chars().take(16).collect();
        self.line(&format!("  arguments sha256 {digest}…"));
        if answerable {
            self.line(&format!(
                "  type {} to approve once, or `no` (with a reason, if you like) to refuse:",
                self.paint(Tone::Bold, &view.id)
            ));
        }
    }

    /// What became of a request.
    pub(crate) fn settled(&mut self, id: &str, outcome: &str) {
        self.line(&format!("  request {id}: {}", escape(outcome)));
    }

    /// Bytes of the payload, made safe when they go to a terminal.
    pub(crate) fn output(&mut self, stream: &str, text: &str) -> std::io::Result<()> {
        self.close_progress();
        if stream == "stderr" {
            let mut err = std::io::stderr().lock();
            let safe = if err.is_terminal() { escape_block(text) } else { text.to_owned() };
            err.write_all(safe.as_bytes())?;
            return err.flush();
        }
        let mut out = std::io::stdout().lock();
        let safe = if out.is_terminal() { escape_block(text) } else { text.to_owned() };
        out.write_all(safe.as_bytes())?;
        out.flush()
    }

    /// A line of Nucleus's own.
    pub(crate) fn say(&mut self, text: &str) {
        self.line(text);
    }

    /// The closing summary.
    pub(crate) fn summary(&mut self, summary: &Summary) {
        self.line("");
        let ending = match summary.exit_code {
            Some(0) => self.paint(Tone::Good, &summary.ending),
            Some(code) => self.paint(Tone::Bad, &format!("{} with exit code {code}", summary.ending)),
            None => self.paint(Tone::Bad, &summary.ending),
        };
        self.line(&format!("{} {ending} in {}", self.paint(Tone::Bold, "task"), duration(summary.duration_ms)));
        self.changes("changed", Tone::Good, &summary.applied);
        self.changes("held for review", Tone::Ask, &summary.held);
        self.changes("in conflict", Tone::Bad, &summary.conflicts);
        if summary.applied.is_empty() && summary.held.is_empty() && summary.conflicts.is_empty() {
            self.line("  files     none changed");
        }
        let calls: Vec<String> = summary.calls.iter().map(|(verdict, n)| format!("{n} {verdict}")).collect();
        self.line(&format!("  calls     {}", if calls.is_empty() { "none".to_owned() } else { calls.join(", ") }));
        if summary.input_tokens > 0 || summary.output_tokens > 0 || summary.cost_micro_usd > 0 {
            self.line(&format!(
                "  model     {} tokens in, {} out · {}",
                summary.input_tokens,
                summary.output_tokens,
                dollars(summary.cost_micro_usd)
            ));
        }
        self.line(&format!("  isolation {}", isolation(summary)));
        self.line(&format!("  log       log {}, {} entries: {}", summary.log_verdict, summary.log_entries, summary.log.display()));
        self.line(&format!("  verify    nucleus-audit verify {}", summary.log.display()));
        if !summary.held.is_empty() || !summary.conflicts.is_empty() {
            self.line(&format!("  next      nucleus review {}", summary.session));
        } else if summary.ending != "finished" {
            self.line(&format!("  next      nucleus apply|review|discard {}", summary.session));
        }
    }

    fn changes(&mut self, title: &str, tone: Tone, changes: &[FileChange]) {
        if changes.is_empty() {
            return;
        }
        self.line(&format!("  files     {} {}", changes.len(), self.paint(tone, title)));
        for change in changes.iter().take(PATHS_SHOWN_MAX) {
            let reason = change.reason.as_ref().map(|r| format!(" ({})", escape(r))).unwrap_or_default();
            self.line(&format!("            {} {}{reason}", change.kind, escape(&change.path)));
        }
        if let Some(rest) = changes.len().checked_sub(PATHS_SHOWN_MAX).filter(|rest| *rest > 0) {
            self.line(&format!("            and {rest} more"));
        }
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
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

    fn line(&mut self, text: &str) {
        self.close_progress();
        let mut err = std::io::stderr().lock();
        // A closed standard error must not end the task.
        let _gone = writeln!(err, "{text}");
    }

    fn transient(&mut self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _gone = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
        self.progress_open = true;
    }

    fn close_progress(&mut self) {
        if std::mem::take(&mut self.progress_open) {
            let mut err = std::io::stderr().lock();
            let _gone = write!(err, "\r\x1b[K");
        }
    }
}

/// One line on what was achieved.
fn isolation(summary: &Summary) -> String {
    let weaker: Vec<&str> =
        summary.enforcement.iter().filter(|(_, level)| level.as_str() != "full").map(|(layer, _)| layer.as_str()).collect();
    if weaker.is_empty() {
        format!("process (all {} layers full)", summary.enforcement.len())
    } else {
        format!("process (full except {})", weaker.join(", "))
    }
}

/// Milliseconds as people read them.
fn duration(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=59_999 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// Micro-dollars with four decimals.
fn dollars(micro: u64) -> String {
    format!("${}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(dollars(2_000_000), "$2.0000");
        assert_eq!(dollars(1_234_567), "$1.2345");
        assert_eq!(duration(7), "7 ms");
        assert_eq!(duration(61_000), "1 min 1 s");
        assert_eq!(duration(1_250), "1.2 s");
    }
}
