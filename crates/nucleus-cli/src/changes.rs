//! `nucleus changes`: what a session's task has changed so far.

use std::collections::BTreeMap;
use std::time::Duration;

use nucleus_sandbox::workspace::review::{self, Diff};
use nucleus_sandbox::workspace::{self, Change, Session};
use nucleus_wire::display::{escape, escape_block};
use serde_json::{Value, json};

use crate::args::ChangesArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, json_line, print};
use crate::ps;
use crate::screen::style::Tone;
use crate::sessions::{failed, pick};
use crate::state::State;

/// How often a running task is looked at.
const INTERVAL: Duration = Duration::from_millis(700);
/// With more changes than these, paths are listed without diffs.
const DIFFS_MAX: usize = 200;

/// A change as shown: its kind, and its diff when it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    kind: &'static str,
    diff: Option<String>,
}

/// Shows the changes.
pub(crate) fn run(args: &ChangesArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let session = pick(&state, args.session.as_deref(), "runs or waits", |session| {
        !session.status().is_settled()
    })?;
    let page = Page::new(env);
    if session.status().is_settled() {
        let (id, status) = (session.id(), session.status());
        return Err(CliFailure::usage(format!("session {id} is {status}: nothing of it waits"))
            .hint(format!("what it did is in its log: nucleus logs {id}\nwhat it applied can be taken back: nucleus undo {id}")));
    }
    let mut before = BTreeMap::new();
    let mut first = true;
    loop {
        // Asked before looking: what the task did before its end is seen after it.
        let running = session.is_running();
        let now = match look(&session, args.list) {
            Ok(now) => now,
            // Applied or discarded meanwhile: its layer is gone.
            Err(_) if !first && !running => break,
            Err(failure) => return Err(failure),
        };
        let done = if args.follow {
            follow(page, &session, &before, &now, args.json)
        } else {
            once(page, &session, &now, args.json)
        };
        if !args.follow || !running || !done {
            break;
        }
        (before, first) = (now, false);
        std::thread::sleep(INTERVAL);
    }
    if args.follow && args.json {
        let session = Session::open(&state.dir, session.id()).map_err(|error| failed(&error))?;
        let ended = json!({"type": "ended", "session": session.id(), "status": ps::word(&session).to_string()});
        print(&json_line(&ended));
    }
    Ok(0)
}

/// The changes now, the repository as one.
fn look(session: &Session, list: bool) -> Result<BTreeMap<String, Shown>, CliFailure> {
    let changes = workspace::changes_now(session).map_err(|error| failed(&error))?;
    let (git, others): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| {
        change.path.as_str().is_some_and(|p| p == ".git" || p.starts_with(".git/"))
    });
    let mut shown = BTreeMap::new();
    let with_diffs = !list && others.len() <= DIFFS_MAX;
    for change in others {
        let is_file = change.node != workspace::NodeKind::Directory;
        let diff = if with_diffs && is_file {
            // A file that went away meanwhile has no diff any more.
            review::diff_change(session, &change).ok().map(|diff| match diff {
                Diff::Text(text) | Diff::Note(text) => text,
                _ => String::new(),
            })
        } else {
            None
        };
        shown.insert(change.path.to_string(), Shown { kind: change.kind.word(), diff });
    }
    if !git.is_empty() {
        let note = format!("{} files of the repository", git.len());
        shown.insert(".git".to_owned(), Shown { kind: "git", diff: Some(note) });
    }
    Ok(shown)
}

fn once(page: Page, session: &Session, now: &BTreeMap<String, Shown>, as_json: bool) -> bool {
    if as_json {
        let changes: Vec<Value> = now.iter().map(|(path, shown)| object(path, shown)).collect();
        let value = json!({"session": session.id(), "status": ps::word(session).to_string(), "changes": changes});
        return print(&json_block(&value));
    }
    if now.is_empty() {
        return print(&format!("{}: no changes\n", session.id()));
    }
    now.iter().all(|(path, shown)| print(&text(page, path, shown)))
}

/// Prints what is new since the last look.
fn follow(
    page: Page,
    session: &Session,
    before: &BTreeMap<String, Shown>,
    now: &BTreeMap<String, Shown>,
    as_json: bool,
) -> bool {
    let new = now.iter().filter(|(path, shown)| before.get(*path) != Some(*shown));
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    if !as_json {
        let new = new.map(|(path, shown)| text(page, path, shown));
        let gone =
            gone.map(|path| format!("{} {}\n", page.paint(Tone::Dim, "as before"), escape(path)));
        return new.chain(gone).all(|line| print(&line));
    }
    let tagged = |kind: &str, mut value: Value| {
        if let Some(members) = value.as_object_mut() {
            members.insert("type".to_owned(), json!(kind));
            members.insert("session".to_owned(), json!(session.id()));
        }
        json_line(&value)
    };
    let new = new.map(|(path, shown)| tagged("changed", object(path, shown)));
    let gone = gone.map(|path| tagged("as_before", json!({"path": path})));
    new.chain(gone).all(|line| print(&line))
}

fn object(path: &str, shown: &Shown) -> Value {
    match &shown.diff {
        Some(diff) => json!({"path": path, "kind": shown.kind, "diff": diff}),
        None => json!({"path": path, "kind": shown.kind}),
    }
}

fn text(page: Page, path: &str, shown: &Shown) -> String {
    let tone = match shown.kind {
        "created" => Tone::Good,
        "deleted" => Tone::Bad,
        _ => Tone::Ask,
    };
    let diff = shown.diff.as_deref().map(|diff| page.diff(&escape_block(diff))).unwrap_or_default();
    format!("{} {}\n{diff}", page.cell(tone, shown.kind, 8), escape(path))
}
