//! `nucleus apply`, `nucleus review` and `nucleus discard`: what becomes of a session's changes.

use nucleus_sandbox::Withhold;
use nucleus_sandbox::workspace::review::{self, Diff, ReviewItem};
use nucleus_sandbox::workspace::{self, ApplyOptions, ApplyReport, Lock, Session, Status};
use nucleus_wire::display::{escape, escape_block, escape_short};
use serde_json::json;

use crate::args::{ReviewArgs, SessionArgs};
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{json_block, json_line, print};
use crate::state::State;

/// `nucleus apply`.
pub(crate) fn apply(args: &SessionArgs, env: &Environment) -> Result<u8, CliFailure> {
    let (mut session, lock) = open(args, env)?;
    let report = carry(&mut session, &lock, false)?;
    show_report(&session, &report, args.json);
    Ok(0)
}

/// `nucleus review`.
pub(crate) fn review(args: &ReviewArgs, env: &Environment) -> Result<u8, CliFailure> {
    if args.list {
        return list(env, args.session.json);
    }
    let (mut session, lock) = open(&args.session, env)?;
    if matches!(session.status(), Status::Running | Status::Interrupted) {
        // Nothing of an unfinished task is applied by looking at it: all of it waits.
        carry(&mut session, &lock, true)?;
    }
    let items = review::items(&session).map_err(|error| failed(&error))?;
    let accepted = chosen(&items, &args.accept)?;
    let rejected = chosen(&items, &args.reject)?;
    if accepted.is_empty() && rejected.is_empty() {
        return show_items(&session, &items, args.session.json);
    }
    if !rejected.is_empty() {
        review::reject(&mut session, &lock, &rejected).map_err(|error| failed(&error))?;
    }
    let report = if accepted.is_empty() {
        ApplyReport::default()
    } else {
        review::accept(&mut session, &lock, &accepted).map_err(|error| failed(&error))?
    };
    show_report(&session, &report, args.session.json);
    Ok(0)
}

/// `nucleus discard`.
pub(crate) fn discard(args: &SessionArgs, env: &Environment) -> Result<u8, CliFailure> {
    let (mut session, lock) = open(args, env)?;
    workspace::discard(&mut session, &lock).map_err(|error| failed(&error))?;
    let id = session.id().to_owned();
    print(&if args.json {
        json_line(&json!({"session": id, "status": "discarded"}))
    } else {
        format!("{id} discarded\n")
    });
    Ok(0)
}

/// Lists what waits, newest first.
fn list(env: &Environment, as_json: bool) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let mut rows = Vec::new();
    for session in workspace::list(&state.dir).map_err(|error| failed(&error))? {
        match session {
            Ok(session) if session.status().is_settled() => {}
            Ok(session) => {
                // A task that died left `running` behind; only a lock that is held says that one runs.
                let status = match session.status() {
                    Status::Running if !session.is_running() => Status::Interrupted,
                    other => other,
                };
                let task = session.meta().task.clone().unwrap_or_default();
                rows.push((
                    session.id().to_owned(),
                    status.to_string(),
                    session.meta().workspace.clone(),
                    task,
                ));
            }
            // A damaged session must not hide the others.
            Err(error) => {
                print(&format!("! {}\n", escape(&error.to_string())));
            }
        }
    }
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, status, workspace, task)| json!({"session": id, "status": status, "workspace": workspace, "task": task}))
            .collect();
        print(&json_block(&json!({ "sessions": rows })));
        return Ok(0);
    }
    if rows.is_empty() {
        print("nothing waits\n");
    }
    for (id, status, workspace, task) in rows {
        let workspace = escape(&workspace.display().to_string());
        print(&format!("{id}  {status:<11}  {workspace}  {}\n", escape_short(&task, 60)));
    }
    Ok(0)
}

fn open(args: &SessionArgs, env: &Environment) -> Result<(Session, Lock), CliFailure> {
    let state = State::open(env)?;
    let waits = |session: &Session| !session.status().is_settled();
    let session = pick(
        &state,
        args.session.as_deref(),
        "waits for anything (nucleus ps --all lists them)",
        waits,
    )?;
    let lock = session.lock().map_err(|error| failed(&error))?;
    Ok((session, lock))
}

/// The session named, or the newest of the workspace one stands in that `fits`; `what` says what none of them does.
pub(crate) fn pick(
    state: &State,
    named: Option<&str>,
    what: &str,
    fits: impl Fn(&Session) -> bool,
) -> Result<Session, CliFailure> {
    if let Some(id) = named {
        return workspace::find(&state.dir, id).map_err(|error| failed(&error));
    }
    let here = std::env::current_dir()
        .map_err(|error| CliFailure::usage(format!("the current directory: {error}")))?;
    // A task that was started further down worked on the whole repository.
    for dir in here.ancestors() {
        let found = workspace::newest(&state.dir, dir, &fits).map_err(|error| failed(&error))?;
        if let Some(session) = found {
            return Ok(session);
        }
    }
    Err(CliFailure::usage(format!("no session of {} {what}", here.display()))
        .hint("name one, or go to the directory the task worked on"))
}

fn carry(session: &mut Session, lock: &Lock, review: bool) -> Result<ApplyReport, CliFailure> {
    let withhold = Withhold::load(session.dir()).map_err(|error| {
        CliFailure::unavailable(format!("session {} cannot be judged: {error}", session.id()))
            .hint("its policy is lost; look at the files beneath the session's overlay by hand, or discard it")
    })?;
    let options = ApplyOptions { review, hold: &|path| withhold.hold(path) };
    workspace::apply(session, lock, &options).map_err(|error| failed(&error))
}

fn chosen(items: &[ReviewItem], paths: &[String]) -> Result<Vec<ReviewItem>, CliFailure> {
    paths
        .iter()
        .map(|path| {
            items.iter().find(|item| item.path.as_str() == Some(path.as_str())).cloned().ok_or_else(
                || {
                    let known: Vec<String> =
                        items.iter().map(|item| escape(&item.path.to_string())).collect();
                    CliFailure::usage(format!("{path:?} is not held")).hint(if known.is_empty() {
                        "nothing is held".to_owned()
                    } else {
                        format!("held: {}", known.join(", "))
                    })
                },
            )
        })
        .collect()
}

fn show_items(session: &Session, items: &[ReviewItem], as_json: bool) -> Result<u8, CliFailure> {
    if as_json {
        let list: Vec<_> = items
            .iter()
            .map(|item| {
                json!({"path": item.path.to_string(), "kind": item.kind.word(), "reason": item.reason, "conflict": item.conflict,
                       "acceptable": item.refusal.is_none(), "files": item.files()})
            })
            .collect();
        print(&json_block(&json!({"session": session.id(), "items": list})));
        return Ok(0);
    }
    if items.is_empty() {
        print(&format!("{}: nothing is held\n", session.id()));
        return Ok(0);
    }
    for item in items {
        let conflict = if item.conflict { " (in conflict)" } else { "" };
        print(&format!(
            "{} {}{conflict}: {}\n",
            item.kind.word(),
            escape(&item.path.to_string()),
            escape(&item.reason)
        ));
        let diff = review::diff(session, item).map_err(|error| failed(&error))?;
        let text = match diff {
            Diff::Text(text) | Diff::Note(text) => text,
            _ => String::new(),
        };
        for line in escape_block(&text).lines() {
            print(&format!("  {line}\n"));
        }
    }
    print(&format!(
        "\naccept or reject by path: nucleus review {} --accept PATH --reject PATH\n",
        session.id()
    ));
    Ok(0)
}

fn show_report(session: &Session, report: &ApplyReport, as_json: bool) {
    let applied: Vec<_> =
        report.applied.iter().map(|c| (c.kind.word(), c.path.to_string(), None)).collect();
    let held: Vec<_> =
        report.held.iter().map(|c| (c.kind.word(), c.path.to_string(), Some(c.why()))).collect();
    let conflicts: Vec<_> = report
        .conflicts
        .iter()
        .map(|c| (c.kind.word(), c.path.to_string(), Some(c.reason.to_string())))
        .collect();
    if as_json {
        let list = |rows: &[(&str, String, Option<String>)]| {
            rows.iter()
                .map(|(kind, path, reason)| json!({"kind": kind, "path": path, "reason": reason}))
                .collect::<Vec<_>>()
        };
        let value = json!({"session": session.id(), "status": session.status().to_string(), "applied": list(&applied),
                           "held": list(&held), "conflicts": list(&conflicts)});
        print(&json_block(&value));
        return;
    }
    for (title, rows) in [("changed", &applied), ("held", &held), ("in conflict", &conflicts)] {
        for (kind, path, reason) in rows {
            let reason = reason.as_ref().map(|r| format!(" ({})", escape(r))).unwrap_or_default();
            print(&format!("{title}: {kind} {}{reason}\n", escape(path)));
        }
    }
    print(&format!("{}: {}\n", session.id(), session.status()));
}

/// What the user is told of a session's error.
pub(crate) fn failed(error: &workspace::WorkspaceError) -> CliFailure {
    use workspace::WorkspaceError as Error;
    match error {
        Error::UnknownSession { .. }
        | Error::AmbiguousSession { .. }
        | Error::BadSessionId { .. }
        | Error::Running { .. }
        | Error::NothingApplied { .. }
        | Error::Over { .. } => CliFailure::usage(error.to_string()),
        _ => CliFailure::unavailable(error.to_string()),
    }
}
