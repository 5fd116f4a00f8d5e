//! The closing summary.

use std::path::Path;

use nucleus_report::amount::{dollars, duration};
use nucleus_wire::control::{FileChange, Summary};
use nucleus_wire::display::escape;

use super::style::{Style, Tone};

/// Paths listed per group before the rest is counted.
const PATHS_SHOWN_MAX: usize = 20;

/// The lines; `home` is written `~`.
pub(super) fn lines(style: Style, summary: &Summary, home: Option<&Path>) -> Vec<String> {
    let mut lines = vec![String::new(), headline(style, summary)];
    changes(&mut lines, style, "changed", Tone::Good, &summary.applied);
    changes(&mut lines, style, "held for review", Tone::Ask, &summary.held);
    changes(&mut lines, style, "in conflict", Tone::Bad, &summary.conflicts);
    if summary.applied.is_empty() && summary.held.is_empty() && summary.conflicts.is_empty() {
        lines.push(row(
            "files",
            if kept(summary) {
                "none written yet: all changes wait in the session"
            } else {
                "none changed"
            },
        ));
    }
    let calls: Vec<String> = summary
        .calls
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(verdict, n)| format!("{n} {verdict}"))
        .collect();
    lines.push(row("calls", if calls.is_empty() { "none".to_owned() } else { calls.join(", ") }));
    if summary.input_tokens > 0 || summary.output_tokens > 0 {
        let (input, output) = (summary.input_tokens, summary.output_tokens);
        // A subscription is not billed by the token.
        let label = if summary.list_price_estimate { " (list-price estimate)" } else { "" };
        let cost = dollars(summary.cost_micro_usd);
        lines.push(row("model", format!("{input} tokens in, {output} out, {cost}{label}")));
    } else if summary.cost_micro_usd > 0 {
        // No model was asked: no tokens, and what is paid for is the time of commands.
        lines.push(row("cost", dollars(summary.cost_micro_usd)));
    }
    lines.push(row("isolation", isolation(summary)));
    let verified = summary.log_verdict == "verified";
    let verdict = style.paint(
        if verified { Tone::Good } else { Tone::Bad },
        &format!("log {}", escape(&summary.log_verdict)),
    );
    lines.push(row("audit", format!("{verdict}, {} entries", summary.log_entries)));
    lines.push(row("", format!("nucleus-audit verify {}", short(&summary.log, home))));
    let id = &summary.session;
    if !summary.held.is_empty() || !summary.conflicts.is_empty() {
        lines.push(row("next", style.paint(Tone::Bold, &format!("nucleus review {id}"))));
    } else if kept(summary) {
        lines.push(row("next", style.paint(Tone::Bold, &format!("nucleus review {id}"))));
        lines.push(row("", format!("or at once: nucleus apply {id}")));
        lines.push(row("", format!("or never:   nucleus discard {id}")));
    }
    lines
}

/// Nothing was written because the task did not come to its own end.
fn kept(summary: &Summary) -> bool {
    summary.ending != "finished"
}

fn headline(style: Style, summary: &Summary) -> String {
    let ending = summary.ending.replace('_', " ");
    let ending = match summary.exit_code {
        Some(0) => style.paint(Tone::Good, &ending),
        Some(code) => style.paint(Tone::Bad, &format!("{ending} with exit code {code}")),
        None => style.paint(Tone::Bad, &ending),
    };
    let task = style.paint(Tone::Bold, "task");
    format!(
        "{task} {ending} {} {}",
        if kept(summary) { "after" } else { "in" },
        duration(summary.duration_ms)
    )
}

fn changes(lines: &mut Vec<String>, style: Style, title: &str, tone: Tone, changes: &[FileChange]) {
    if changes.is_empty() {
        return;
    }
    lines.push(row("files", format!("{} {}", changes.len(), style.paint(tone, title))));
    for change in changes.iter().take(PATHS_SHOWN_MAX) {
        let reason = change
            .reason
            .as_ref()
            .map(|reason| format!(" ({})", escape(reason)))
            .unwrap_or_default();
        lines.push(row("", format!("{:<8} {}{reason}", change.kind, escape(&change.path))));
    }
    if let Some(rest @ 1..) = changes.len().checked_sub(PATHS_SHOWN_MAX) {
        lines.push(row("", format!("and {rest} more")));
    }
}

fn row(title: &str, text: impl AsRef<str>) -> String {
    format!("  {title:<9} {}", text.as_ref())
}

/// One line on what was achieved.
fn isolation(summary: &Summary) -> String {
    let weaker: Vec<&str> = summary
        .enforcement
        .iter()
        .filter(|(_, level)| level.as_str() != "full")
        .map(|(layer, _)| layer.as_str())
        .collect();
    if weaker.is_empty() {
        format!("process, all {} layers full", summary.enforcement.len())
    } else {
        format!("process, full except {}", weaker.join(", "))
    }
}

/// A path as the user's shell takes it, with `~` for the home directory when nothing in it needs quotes.
fn short(path: &Path, home: Option<&Path>) -> String {
    let text = path.display().to_string();
    let plain =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if plain(&rest.display().to_string()) => format!("~/{}", rest.display()),
        _ => crate::shell::quote(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, path: &str, reason: Option<&str>) -> FileChange {
        FileChange {
            path: path.to_owned(),
            kind: kind.to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    fn summary() -> Summary {
        Summary {
            session: "20261120-173229-vu4r".to_owned(),
            exit_code: Some(0),
            ending: "finished".to_owned(),
            applied: vec![
                change("modified", "src/main.rs", None),
                change("created", "target/ (212 within)", None),
            ],
            held: vec![change(
                "created",
                ".git/hooks/pre-commit",
                Some("git runs it on the host without being asked"),
            )],
            conflicts: Vec::new(),
            calls: [
                ("allowed".to_owned(), 12),
                ("approved".to_owned(), 1),
                ("denied".to_owned(), 0),
            ]
            .into(),
            input_tokens: 21_400,
            output_tokens: 912,
            cost_micro_usd: 123_456,
            list_price_estimate: false,
            log: "/home/me/.local/state/nucleus/sessions/20261120-173229-vu4r/log.jsonl".into(),
            log_entries: 31,
            log_verdict: "verified".to_owned(),
            duration_ms: 93_000,
            enforcement: [
                ("seccomp".to_owned(), "full".to_owned()),
                ("landlock".to_owned(), "none: kernel".to_owned()),
            ]
            .into(),
        }
    }

    fn shown(summary: &Summary) -> String {
        lines(Style::new(false, None), summary, Some(Path::new("/home/me"))).join("\n")
    }

    #[test]
    fn a_finished_task() {
        insta::assert_snapshot!(shown(&summary()));
    }

    #[test]
    fn what_a_subscription_pays_is_called_an_estimate() {
        let subscribed = Summary { list_price_estimate: true, ..summary() };
        assert!(shown(&subscribed).contains(" (list-price estimate)"));
        assert!(!shown(&summary()).contains("estimate"));
    }

    #[test]
    fn an_interrupted_command() {
        insta::assert_snapshot!(shown(&Summary {
            ending: "interrupted".to_owned(),
            exit_code: None,
            applied: Vec::new(),
            held: Vec::new(),
            input_tokens: 0,
            output_tokens: 0,
            cost_micro_usd: 7,
            log_verdict: "hash chain broken".to_owned(),
            ..summary()
        }));
    }

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(short(Path::new("/home/me/a/log"), Some(Path::new("/home/me"))), "~/a/log");
        assert_eq!(
            short(Path::new("/home/me/a b/log"), Some(Path::new("/home/me"))),
            "'/home/me/a b/log'"
        );
        assert_eq!(short(Path::new("/srv/log"), Some(Path::new("/home/me"))), "/srv/log");
    }
}
