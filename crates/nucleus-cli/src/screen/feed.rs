//! One line per call: mark, tool, target, result, time.

use nucleus_report::amount::duration;
use nucleus_wire::control::{FeedEvent, FeedStatus};
use nucleus_wire::display::{escape, escape_short};

use super::style::{Style, Tone, cut};

/// Columns before the target: mark, tool and the spaces between.
const BEFORE_TARGET: usize = 11;
/// Columns kept for the result of an ordinary call.
const RESULT_COLUMNS: usize = 24;
/// The target keeps at least these, however long the result is.
const TARGET_MIN: usize = 24;
/// Longest target where nothing is cut, in characters.
const TARGET_CHARS_MAX: usize = 512;
/// Longest result, in characters.
const DETAIL_CHARS_MAX: usize = 80;

/// The line of an event.
pub(super) fn line(style: Style, event: &FeedEvent) -> String {
    let (mark, tone) = mark(event.status);
    let head = format!("{} {:<8}", style.paint(tone, mark), escape(&event.tool));
    let target = escape_short(&event.target, TARGET_CHARS_MAX);
    if event.status == FeedStatus::Denied {
        return refused(style, &head, &target, event);
    }
    let detail = detail(event);
    let time = event.duration_ms.map(duration).unwrap_or_default();
    let result_columns =
        detail.chars().count().saturating_add(time.chars().count()).saturating_add(2);
    let room = target_room(style, result_columns.max(RESULT_COLUMNS));
    let target = if style.cuts() { cut(&target, room) } else { target };
    let gap = RESULT_COLUMNS
        .saturating_sub(detail.chars().count())
        .max(time.chars().count().saturating_add(2));
    let line = if time.is_empty() {
        format!("{head} {target:<room$}  {}", style.paint(Tone::Dim, &detail))
    } else {
        format!(
            "{head} {target:<room$}  {}{}",
            style.paint(Tone::Dim, &detail),
            style.paint(Tone::Dim, &format!("{time:>gap$}"))
        )
    };
    line.trim_end().to_owned()
}

/// A refusal names the layer that held and the rule; where both do not fit beside the target they come below it.
fn refused(style: Style, head: &str, target: &str, event: &FeedEvent) -> String {
    let layer = format!("refused by {}:", escape(event.layer.as_deref().unwrap_or("policy")));
    let rule = escape(event.rule.as_deref().unwrap_or("deny.internal"));
    let columns = layer.chars().count().saturating_add(rule.chars().count()).saturating_add(1);
    let reason = format!("{} {rule}", style.paint(Tone::Bad, &layer));
    let room =
        style.columns().saturating_sub(BEFORE_TARGET).saturating_sub(columns).saturating_sub(2);
    if target.chars().count() <= room || !style.cuts() {
        return format!("{head} {target:<room$}  {reason}");
    }
    let target = cut(target, style.columns().saturating_sub(BEFORE_TARGET));
    format!("{head} {target}\n{:BEFORE_TARGET$}{reason}", "")
}

fn target_room(style: Style, result_columns: usize) -> usize {
    style
        .columns()
        .saturating_sub(BEFORE_TARGET)
        .saturating_sub(2)
        .saturating_sub(result_columns)
        .max(TARGET_MIN)
}

fn detail(event: &FeedEvent) -> String {
    let (rule, detail) = (event.rule.as_deref(), event.detail.as_deref());
    let text = match (event.status, rule, detail) {
        (FeedStatus::Waiting, Some(rule), Some(detail)) => format!("{rule} {detail}"),
        // Words say more than the code; some faults have only that.
        (_, rule, detail) => detail.or(rule).unwrap_or_default().to_owned(),
    };
    escape_short(&text, DETAIL_CHARS_MAX)
}

fn mark(status: FeedStatus) -> (&'static str, Tone) {
    match status {
        FeedStatus::Allowed | FeedStatus::Progress => ("…", Tone::Dim),
        FeedStatus::Done => ("✓", Tone::Good),
        FeedStatus::Failed => ("!", Tone::Ask),
        FeedStatus::Stopped => ("■", Tone::Ask),
        FeedStatus::Denied => ("✗", Tone::Bad),
        FeedStatus::Waiting => ("?", Tone::Ask),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(status: FeedStatus, tool: &str, target: &str) -> FeedEvent {
        FeedEvent {
            call: 1,
            status,
            tool: tool.to_owned(),
            target: target.to_owned(),
            rule: None,
            layer: None,
            detail: None,
            duration_ms: None,
        }
    }

    fn events() -> Vec<FeedEvent> {
        let long = "crates/a-crate-with-a-name/src/and/a/module/that/lies/deep/in/it/file.rs";
        let done = |tool, target, detail: &str, ms| FeedEvent {
            detail: Some(detail.to_owned()),
            duration_ms: Some(ms),
            ..event(FeedStatus::Done, tool, target)
        };
        let denied = |tool, target, layer: &str, rule: &str| FeedEvent {
            layer: Some(layer.to_owned()),
            rule: Some(rule.to_owned()),
            ..event(FeedStatus::Denied, tool, target)
        };
        vec![
            done("read", "src/main.rs", "212 lines", 0),
            done("run", "cargo test --workspace 2>&1 | tail -5", "exit 101", 61_400),
            done("read", long, "1 line", 3),
            FeedEvent {
                rule: Some("path.not_found".to_owned()),
                detail: Some("path.not_found".to_owned()),
                duration_ms: Some(0),
                ..event(FeedStatus::Failed, "read", "nope.txt")
            },
            FeedEvent {
                rule: Some("run.timed_out".to_owned()),
                detail: Some("timed out".to_owned()),
                duration_ms: Some(5_004),
                ..event(FeedStatus::Failed, "run", "npm test")
            },
            FeedEvent {
                rule: Some("run.task_ended".to_owned()),
                detail: Some("job-2: ended with the task".to_owned()),
                duration_ms: Some(61_000),
                ..event(FeedStatus::Stopped, "run", "npm run dev")
            },
            denied("read", ".env", "policy", "deny.path.sensitive"),
            denied("write", long, "policy", "deny.capability.never"),
            denied("dns", "attacker.example A", "network", "deny.network.name"),
            denied("run", "printf '\u{1b}[2J'", "policy", "deny.command.blocked"),
        ]
    }

    #[test]
    fn lines_are_aligned_at_eighty_columns() {
        let style = Style::new(false, Some(80));
        let lines: Vec<String> = events().iter().map(|event| line(style, event)).collect();
        for line in lines.iter().flat_map(|line| line.lines()) {
            assert!(line.chars().count() <= 80, "{line:?}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn nothing_is_cut_where_nobody_watches() {
        let lines: Vec<String> =
            events().iter().map(|event| line(Style::new(false, None), event)).collect();
        assert!(lines.iter().all(|line| !line.contains('\n') && !line.contains('…')), "{lines:#?}");
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn colour_marks_the_verdict() {
        let line = line(Style::new(true, Some(80)), &event(FeedStatus::Done, "read", "a"));
        assert!(line.starts_with("\u{1b}[32m✓\u{1b}[0m read"), "{line:?}");
    }
}
