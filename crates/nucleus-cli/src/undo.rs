//! `nucleus undo`: takes back what a session applied.

use nucleus_sandbox::workspace::{self, UndoReport};
use nucleus_wire::display::escape;
use serde_json::json;

use crate::args::UndoArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, print};
use crate::screen::style::Tone;
use crate::sessions::{failed, pick};
use crate::state::State;

/// Takes a session back.
pub(crate) fn run(args: &UndoArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let nothing = "applied something that could be taken back";
    let mut session = pick(&state, args.session.as_deref(), nothing, workspace::has_layers)?;
    let lock = session.lock().map_err(|error| failed(&error))?;
    let report = workspace::undo(&mut session, &lock).map_err(|error| failed(&error))?;
    let (id, status) = (session.id(), session.status());
    let (undone, left) = folded(&report);
    if args.json {
        let undone: Vec<_> =
            undone.iter().map(|(path, kind)| json!({"path": path, "kind": kind})).collect();
        let left: Vec<_> =
            left.iter().map(|(path, why)| json!({"path": path, "reason": why})).collect();
        let value = json!({"session": id, "status": status.to_string(), "undone": undone, "left": left,
                           "finished_earlier": report.finished_earlier});
        print(&json_block(&value));
        return Ok(0);
    }
    let page = Page::new(env);
    if report.finished_earlier {
        print("an undo that was cut short was finished\n");
    }
    for (path, kind) in undone {
        print(&format!("{} {kind} {}\n", page.paint(Tone::Good, "taken back:"), escape(&path)));
    }
    for (path, why) in left {
        let title = page.paint(Tone::Bad, "left as it is:");
        print(&format!("{title} {} ({})\n", escape(&path), escape(&why)));
    }
    print(&format!("{id}: {status}\n"));
    Ok(0)
}

/// Rows with the repository as one.
type Rows = Vec<(String, String)>;

fn folded(report: &UndoReport) -> (Rows, Rows) {
    let in_git = |path: &str| path == ".git" || path.starts_with(".git/");
    let fold = |rows: Rows, word: Option<&str>| {
        let (git, mut rows): (Rows, Rows) = rows.into_iter().partition(|(path, _)| in_git(path));
        if let Some((_, first)) = git.first() {
            rows.push((".git".to_owned(), word.map_or_else(|| first.clone(), str::to_owned)));
        }
        rows
    };
    let undone =
        report.undone.iter().map(|(path, kind)| (path.to_string(), kind.word().to_owned()));
    let left = report.left.iter().map(|left| (left.path.to_string(), left.reason.to_string()));
    (fold(undone.collect(), Some("git")), fold(left.collect(), None))
}
