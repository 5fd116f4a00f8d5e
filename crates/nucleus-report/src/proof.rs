//! What verification found, line by line, for people.

use nucleus_log::{Report, Verdict};

/// Good news, bad news, or something to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It holds.
    Good,
    /// It does not.
    Bad,
    /// It was not looked at, or is as it should be but incomplete.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What kind of news.
    pub mark: Mark,
    /// The news.
    pub text: String,
}

/// The findings of a report, the verdict first.
#[must_use]
pub fn proof_lines(report: &Report, trusted: u64) -> Vec<Line> {
    let mut lines = verdict(report, trusted);
    let to_end = reaches_end(report);
    lines.extend(extent(report, to_end));
    lines.extend(end(report, to_end));
    lines
}

/// Whether what holds reaches to the end of the log. A fault that names a place cuts off what lies behind it.
pub(crate) fn reaches_end(report: &Report) -> bool {
    matches!(
        report.verdict,
        Verdict::Ok
            | Verdict::OkWithoutMacKey
            | Verdict::TornTail
            | Verdict::Stale { .. }
            | Verdict::Unpaired { .. }
    )
}

fn line(mark: Mark, text: impl Into<String>) -> Line {
    Line { mark, text: text.into() }
}

fn verdict(report: &Report, trusted: u64) -> Vec<Line> {
    let mut lines = match report.verdict {
        Verdict::Ok => vec![line(
            Mark::Good,
            format!("verified: all {trusted} entries, the hash chain, and no gap"),
        )],
        Verdict::OkWithoutMacKey => vec![line(
            Mark::Good,
            format!(
                "verified without the MAC key: all {trusted} entries, the hash chain, and no gap"
            ),
        )],
        verdict => {
            let stands = match trusted {
                0 => "nothing in this log can be relied on".to_owned(),
                n => format!("only entries 1 to {n} can be relied on"),
            };
            vec![line(Mark::Bad, format!("NOT VERIFIED: {verdict}")), line(Mark::Bad, stands)]
        }
    };
    if trusted > 0 {
        lines.push(if report.macs_checked {
            line(Mark::Good, "the MAC of every one of these entries holds")
        } else {
            line(Mark::Note, "MACs were not checked: there was no MAC key")
        });
    }
    lines
}

fn extent(report: &Report, to_end: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(proved) = report.proved.as_ref().filter(|proved| proved.size > 0) {
        let by = if report.public_key_given {
            "the public key"
        } else {
            "the key that its header names"
        };
        let (size, time, root) = (proved.size, &proved.time, &proved.root);
        lines.push(line(
            Mark::Good,
            format!("entries 1 to {size} are signed by {by}: checkpoint of {time}, root {root}"),
        ));
    }
    let mut note = |number: u64, text: String| {
        if number > 0 {
            lines.push(line(Mark::Note, text));
        }
    };
    let beyond = report.beyond_checkpoint;
    let interrupted = report.interrupted_total;
    if to_end {
        note(beyond, format!("the last {beyond} entries are not signed yet"));
        note(interrupted, format!("{interrupted} intents have no outcome"));
    } else {
        let of = "of those that can be relied on";
        note(beyond, format!("{of}, the last {beyond} are covered by no signed checkpoint"));
        note(interrupted, format!("{of}, {interrupted} intents have no outcome"));
    }
    let steps = report.clock_steps_back;
    note(steps, format!("the wall clock stepped back {steps} times; order is by entry number"));
    lines
}

fn end(report: &Report, to_end: bool) -> [Line; 2] {
    let end = match (report.live, report.closed) {
        // Its end lies behind the fault, whatever a checkpoint says of it.
        (_, true) if !to_end => line(Mark::Note, "how the log ended is not proved"),
        (true, _) => line(Mark::Note, "the log is being written: this is how far it had come"),
        (false, true) => line(Mark::Good, "the log was closed in order"),
        (false, false) => {
            line(Mark::Note, "the log was not closed in order: its writer was killed or failed")
        }
    };
    let limit = "not proved: that log and sidecar were not rolled back together to an earlier state; only a pin or a \
                 witness shows that";
    [end, line(Mark::Note, limit)]
}
