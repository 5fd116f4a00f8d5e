//! `nucleus logs`: the audit log of a session, for people. Nothing is verified here; `nucleus-audit verify` does that.

use std::path::Path;
use std::time::Duration;

use nucleus_log::Entry;
use nucleus_sandbox::workspace::Session;
use nucleus_wire::display::{escape, escape_short};
use serde_json::{Map, Value, json};

use crate::args::LogsArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_line, print};
use crate::screen::style::Tone;
use crate::sessions::pick;
use crate::state::State;

/// How often a log that grows is looked at.
const INTERVAL: Duration = Duration::from_millis(300);
/// Longest target shown, in characters.
const TARGET_CHARS_MAX: usize = 300;

/// Prints a log.
pub(crate) fn run(args: &LogsArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let session = pick(&state, args.session.as_deref(), "is known", |_| true)?;
    let page = Page::new(env);
    let mut shown = 0;
    let mut size = None;
    loop {
        // Asked before reading: what was written before the end is read after it.
        let running = args.follow && session.is_running();
        let now = bytes(&session.log_path());
        if size != Some(now) {
            size = Some(now);
            match show(&session, page, args.json, &mut shown)? {
                Shown::All => {}
                Shown::NobodyReads => return Ok(0),
            }
        }
        if !running {
            return Ok(0);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Whether somebody still reads.
enum Shown {
    All,
    NobodyReads,
}

/// Size of a log with its further segments, to notice that it grew.
fn bytes(log: &Path) -> u64 {
    let own = std::fs::metadata(log).map_or(0, |meta| meta.len());
    own.saturating_add(nucleus_sandbox::storage::size(&log.with_extension("jsonl.d")))
}

fn show(
    session: &Session,
    page: Page,
    as_json: bool,
    shown: &mut u64,
) -> Result<Shown, CliFailure> {
    let path = session.log_path();
    let unreadable = |error: &dyn std::fmt::Display| {
        CliFailure::unavailable(format!("the log of session {}: {error}", session.id()))
    };
    let entries = nucleus_log::entries(&path).map_err(|error| unreadable(&error))?;
    for entry in entries {
        let entry = match entry {
            Ok(entry) if entry.sequence <= *shown => continue,
            Ok(entry) => entry,
            // The writer is in the middle of this line, or died there; verification tells which.
            Err(nucleus_log::ReadError::Malformed { .. }) => break,
            Err(error) => return Err(unreadable(&error)),
        };
        *shown = entry.sequence;
        if !print(&if as_json { object(&entry) } else { line(page, &entry) }) {
            return Ok(Shown::NobodyReads);
        }
    }
    Ok(Shown::All)
}

/// An entry for a program.
fn object(entry: &Entry) -> String {
    let (sequence, timestamp) = (entry.sequence, &entry.timestamp);
    let value = json!({"sequence": sequence, "timestamp": timestamp, "event": entry.members()});
    json_line(&value)
}

/// One entry in one line: when, what came of it, what it was, and why.
fn line(page: Page, entry: &Entry) -> String {
    let members = entry.members();
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let (phase, decision) = (text("phase").unwrap_or(""), text("decision").unwrap_or(""));
    let (mark, tone) = match (phase, decision, text("result")) {
        (_, "deny", _) => ("✗", Tone::Bad),
        (_, "needs_approval", _) => ("?", Tone::Ask),
        ("intent", ..) => ("→", Tone::Dim),
        ("outcome", _, Some("success")) => ("✓", Tone::Good),
        ("outcome", _, Some("denied")) => ("✗", Tone::Bad),
        ("outcome", _, Some("stopped")) => ("■", Tone::Ask),
        ("outcome", ..) => ("!", Tone::Bad),
        _ => ("·", Tone::Dim),
    };
    let what = text("tool").or_else(|| text("type")).unwrap_or("?");
    let target = text("target").map(|t| escape_short(t, TARGET_CHARS_MAX)).unwrap_or_default();
    let mut facts: Vec<String> = Vec::new();
    for name in ["result", "rule", "approval_id"] {
        facts.extend(text(name).map(escape));
    }
    facts.extend(number(&members, "duration_ms").map(|ms| format!("{ms} ms")));
    facts.extend(
        number(&members, "cost_micro_usd")
            .filter(|micro| *micro > 0)
            .map(nucleus_report::amount::dollars),
    );
    let time: String = escape(&entry.timestamp).chars().skip(11).take(12).collect();
    let line = format!(
        "{} {:>4} {} {:<10} {target}  {}",
        page.paint(Tone::Dim, &time),
        entry.sequence,
        page.paint(tone, mark),
        escape(what),
        page.paint(Tone::Dim, &facts.join(", "))
    );
    format!("{}\n", line.trim_end())
}

fn number(members: &Map<String, Value>, name: &str) -> Option<u64> {
    members.get(name).and_then(Value::as_u64)
}
