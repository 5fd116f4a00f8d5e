//! `nucleus replay`: what happened, call by call.

use std::io::{IsTerminal, Write};

use nucleus_report::amount::{count, dollars, duration};
use nucleus_report::{Mark, Record, Step, Verdict, proof_lines};
use nucleus_wire::display::{escape, escape_short};

use crate::args::{Only, ReplayArgs};
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::json_block;
use crate::record::Recorded;
use crate::screen::style::{Style, Tone};

/// Longest text of an agent's making on a line, in characters.
const TEXT_CHARS_MAX: usize = 512;

/// `nucleus replay`.
pub(crate) fn run(args: &ReplayArgs, env: &Environment) -> Result<u8, CliFailure> {
    let mut recorded = Recorded::load(args.session.as_deref(), env)?;
    let code = recorded.exit_code();
    if !args.only.is_empty() {
        let kept = |step: &Step| args.only.iter().any(|only| only.verdict() == step.verdict);
        recorded.record.steps.retain(kept);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let shown = if args.json {
        out.write_all(json_block(&recorded.record).as_bytes())
    } else {
        let style = Style::new(env.colours(std::io::stdout().is_terminal()), None);
        let text = text(style, &recorded.record, !args.only.is_empty());
        out.write_all(text.as_bytes())
    };
    // A reader that closed the pipe has seen enough.
    let _gone = shown.and_then(|()| out.flush());
    Ok(code)
}

impl Only {
    fn verdict(self) -> Verdict {
        match self {
            Self::Allowed => Verdict::Allowed,
            Self::Approved => Verdict::Approved,
            Self::Denied => Verdict::Denied,
            Self::Failed => Verdict::Failed,
            Self::Stopped => Verdict::Stopped,
            Self::Malformed => Verdict::Malformed,
            Self::Waiting => Verdict::Waiting,
            Self::Unfinished => Verdict::Unfinished,
        }
    }
}

/// The whole record. What verification found comes first when it is bad news, last when it is not.
fn text(style: Style, record: &Record, filtered: bool) -> String {
    let mut lines = Vec::new();
    let proof: Vec<String> = proof_lines(&record.verification, record.trusted_entries)
        .into_iter()
        .map(|line| {
            let (sign, tone) = match line.mark {
                Mark::Good => ("✓", Tone::Good),
                Mark::Bad => ("✗", Tone::Bad),
                Mark::Note => ("–", Tone::Dim),
            };
            format!("{} {}", style.paint(tone, sign), escape(&line.text))
        })
        .collect();
    if !record.is_verified() {
        lines.extend(proof.iter().cloned());
        lines.push(String::new());
    }
    head(&mut lines, style, record);
    let mut edge = true;
    for step in &record.steps {
        if !step.proved && std::mem::take(&mut edge) {
            lines.push(style.paint(
                Tone::Bad,
                "✗ from here on nothing is proved: shown as it stands in the file",
            ));
        }
        lines.push(line(style, step));
    }
    if let Some(why) = &record.unreadable {
        lines.push(style.paint(Tone::Bad, &format!("✗ reading ended: {}", escape(why))));
    }
    foot(&mut lines, record, filtered);
    if record.is_verified() {
        lines.extend(proof);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn head(lines: &mut Vec<String>, style: Style, record: &Record) {
    let session = record.session.as_deref().unwrap_or("without a beginning in its log");
    lines.push(format!("session {}", style.paint(Tone::Bold, &escape(session))));
    if let Some(policy) = &record.policy {
        let digest: String = record.policy_digest.iter().flat_map(|d| d.chars()).take(12).collect();
        lines.push(format!("  policy    {} ({digest})", escape(policy)));
    }
    if let Some(driver) = &record.driver {
        let weaker: Vec<String> = record
            .layers
            .iter()
            .filter(|(_, level)| level.as_str() != "full")
            .map(|(layer, level)| format!("{} {}", escape(layer), escape(level)))
            .collect();
        let layers = match weaker.as_slice() {
            [] => format!("all {} layers full", record.layers.len()),
            some => format!("{} layers full except {}", record.layers.len(), some.join(", ")),
        };
        lines.push(format!("  isolation {} driver, {layers}", escape(driver)));
    }
    if let Some(scope) = &record.scope {
        lines.push(format!("  scope     {}", style.paint(Tone::Ask, &escape(scope))));
    }
    if let (Some(started), Some(ended)) = (&record.started, &record.ended) {
        let to = if record.reaches_end() { "to" } else { "and proved to" };
        lines.push(format!("  from      {started} {to} {ended}"));
    }
    lines.push(String::new());
}

/// Time, sign, operation, target, then whatever there is to say of it.
fn line(style: Style, step: &Step) -> String {
    // What stands behind a fault is what the file says, not what happened.
    let tone = match step.verdict {
        _ if !step.proved => Tone::Dim,
        Verdict::Allowed | Verdict::Approved => Tone::Good,
        Verdict::Denied | Verdict::Malformed => Tone::Bad,
        Verdict::Failed | Verdict::Stopped | Verdict::Waiting | Verdict::Unfinished => Tone::Ask,
        Verdict::Noted => Tone::Dim,
    };
    let time = step.time.get(11..23).unwrap_or(&step.time);
    let mut text = format!(
        "{} {} {:<8}",
        style.paint(Tone::Dim, &escape(time)),
        style.paint(tone, if step.proved { step.verdict.sign() } else { "?" }),
        escape(&step.operation)
    );
    let mut say = |part: &str| {
        if !part.is_empty() {
            text.push_str("  ");
            text.push_str(part);
        }
    };
    if let Some(target) = &step.target {
        say(&escape_short(target, TEXT_CHARS_MAX));
    }
    say(&verdict(style, tone, step));
    if let Some(approval) = &step.approval {
        say(&format!("approval {}", escape(approval)));
    }
    say(&escape_short(&step.result.join(", "), TEXT_CHARS_MAX));
    say(&step.duration_ms.map(duration).unwrap_or_default());
    say(&step.cost_micro_usd.filter(|cost| *cost > 0).map(dollars).unwrap_or_default());
    text
}

fn verdict(style: Style, tone: Tone, step: &Step) -> String {
    let rule = escape(step.rule.as_deref().unwrap_or_default());
    let layer = step.layer.as_deref().map(escape);
    let words = match (step.verdict, layer) {
        (Verdict::Noted, _) if !step.proved => "not proved".to_owned(),
        (verdict, _) if !step.proved => format!("not proved: {}", verdict.word()),
        (Verdict::Denied | Verdict::Malformed, Some(layer)) => {
            format!("refused by {layer}: {rule}")
        }
        (Verdict::Denied | Verdict::Malformed, None) => format!("refused: {rule}"),
        (Verdict::Stopped, _) => format!("ended on purpose: {rule}"),
        (Verdict::Failed, _) => format!("failed: {rule}"),
        (Verdict::Waiting, _) => format!("a person was asked: {rule}"),
        (Verdict::Unfinished, _) => "no outcome is recorded".to_owned(),
        (Verdict::Approved, _) if rule.is_empty() => "approved".to_owned(),
        (Verdict::Approved, _) => format!("approved: {rule}"),
        (Verdict::Allowed | Verdict::Noted, _) => return String::new(),
    };
    style.paint(tone, &words)
}

fn foot(lines: &mut Vec<String>, record: &Record, filtered: bool) {
    lines.push(String::new());
    let mut counted: Vec<String> = record
        .totals
        .verdicts
        .iter()
        .map(|(verdict, times)| format!("{} {}", count(*times), verdict.word()))
        .collect();
    if record.totals.suppressed > 0 {
        counted.push(format!("{} of them in a flood", count(record.totals.suppressed)));
    }
    if filtered {
        counted.push("(not all of them shown)".to_owned());
    }
    if record.totals.verdicts.is_empty() {
        counted.push(if record.reaches_end() { "none" } else { "none proved" }.to_owned());
    }
    let ending = format!("{} {}", escape(&record.ending_words()), record.duration_words());
    lines.push(ending.trim_end().to_owned());
    lines.push(format!("  calls     {}", counted.join(", ")));
    let totals = &record.totals;
    lines.push(format!(
        "  spent     {}{}, {} tokens in, {} out, {} cached",
        dollars(totals.cost_micro_usd),
        record
            .limits
            .cost_micro_usd
            .map(|limit| format!(" of {}", dollars(limit)))
            .unwrap_or_default(),
        count(totals.input_tokens),
        count(totals.output_tokens),
        count(totals.cached_input_tokens)
    ));
}
