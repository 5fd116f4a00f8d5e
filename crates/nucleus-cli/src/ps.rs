//! `nucleus ps`: running and kept sessions.

use nucleus_sandbox::storage;
use nucleus_sandbox::workspace::{self, Session, Status};
use nucleus_wire::display::{escape, escape_short};
use serde_json::json;

use crate::amount;
use crate::args::PsArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, print};
use crate::screen::style::Tone;
use crate::sessions::failed;
use crate::state::State;

/// Longest task shown, in characters, where lines are not cut.
const TASK_CHARS_MAX: usize = 120;
/// Columns before the workspace.
const BEFORE_WORKSPACE: usize = 54;

/// Lists the sessions.
pub(crate) fn run(args: &PsArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let found = workspace::list(&state.dir).map_err(|error| failed(&error))?;
    let now = amount::now_ms();
    let mut rows = Vec::new();
    let mut damaged = Vec::new();
    for session in found {
        match session {
            Ok(session) if session.status().is_settled() && !args.all => {}
            Ok(session) => rows.push((word(&session), session)),
            Err(error) => damaged.push(error.to_string()),
        }
    }
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(status, session)| {
                let meta = session.meta();
                json!({"session": session.id(), "status": status, "workspace": meta.workspace, "task": meta.task,
                       "started_ms": meta.baseline.started_ms, "bytes": storage::size(session.dir()),
                       "log": session.log_path()})
            })
            .collect();
        print(&json_block(&json!({"sessions": rows, "damaged": damaged})));
        return Ok(0);
    }
    if args.quiet {
        for (_, session) in &rows {
            print(&format!("{}\n", session.id()));
        }
        return Ok(0);
    }
    let page = Page::new(env);
    if rows.is_empty() && damaged.is_empty() {
        let more = if args.all { "" } else { " (--all lists settled ones too)" };
        print(&format!("no session runs or waits{more}\n"));
        return Ok(0);
    }
    if !rows.is_empty() {
        let head = format!(
            "{:<20}  {:<11}  {:>8}  {:>8}  WORKSPACE  TASK",
            "SESSION", "STATE", "AGE", "SIZE"
        );
        print(&format!("{}\n", page.paint(Tone::Dim, &head)));
    }
    for (status, session) in &rows {
        print(&row(page, *status, session, now, env));
    }
    for error in damaged {
        print(&format!("{} {}\n", page.paint(Tone::Bad, "!"), escape(&error)));
    }
    Ok(0)
}

/// How far a session is. A task that died left `running` behind: only a lock that is held says that one runs.
pub(crate) fn word(session: &Session) -> Status {
    match session.status() {
        Status::Running if !session.is_running() => Status::Interrupted,
        other => other,
    }
}

fn row(page: Page, status: Status, session: &Session, now: u64, env: &Environment) -> String {
    let meta = session.meta();
    let tone = match status {
        Status::Running => Tone::Good,
        Status::Interrupted | Status::Held => Tone::Ask,
        _ => Tone::Dim,
    };
    let workspace = meta.workspace.display().to_string();
    let home = env.home().ok().map(|home| home.display().to_string());
    let short = home
        .and_then(|home| workspace.strip_prefix(&home).map(|rest| format!("~{rest}")))
        .unwrap_or(workspace);
    let short = escape(&short);
    let room = page.width().map_or(TASK_CHARS_MAX, |columns| {
        columns.saturating_sub(BEFORE_WORKSPACE).saturating_sub(short.chars().count()).max(16)
    });
    format!(
        "{:<20}  {}  {:>8}  {:>8}  {short}  {}\n",
        session.id(),
        page.cell(tone, &status.to_string(), 11),
        amount::age(meta.baseline.started_ms, now),
        amount::bytes(storage::size(session.dir())),
        escape_short(meta.task.as_deref().unwrap_or_default(), room)
    )
}
