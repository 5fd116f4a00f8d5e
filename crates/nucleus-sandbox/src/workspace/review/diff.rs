//! The two versions of a path, as text for a human.

use std::io::Read as _;
use std::time::Duration;

use similar::TextDiff;

use super::super::change::{Change, ChangeKind};
use super::super::error::{At as _, Doing, WorkspaceError};
use super::super::limits::DIFF_BYTES;
use super::super::node::NodeKind;
use super::super::path::TreePath;
use super::super::session::Session;
use super::super::text::{escape, escape_line};
use super::super::tree::Tree;
use super::{ReviewItem, node};

/// Two versions that take longer to compare get a diff that is right but not the shortest.
const DIFF_TIME: Duration = Duration::from_secs(1);

/// How two versions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diff {
    /// A unified diff, host's version first; whatever hides or moves the cursor is escaped.
    Text(String),
    /// A note for what has no diff: binary, too large, a link, permission bits.
    Note(String),
}

/// One side of a diff.
enum Side {
    Absent,
    Text(String),
    Other(String),
}

/// Shows an item, host's version against the task's.
///
/// # Errors
/// `Io`.
pub fn diff(session: &Session, item: &ReviewItem) -> Result<Diff, WorkspaceError> {
    let workspace = &session.meta().workspace;
    let result = session.result_dir();
    let host = Tree::open(workspace).at(Doing::Read, workspace)?;
    let task = Tree::open(&result).at(Doing::Read, &result)?;
    if item.files() > 1 || item.parts.first().is_some_and(|(path, _)| *path != item.path) {
        let mut list: Vec<String> = item.parts.iter().map(|(path, _)| path.to_string()).collect();
        list.sort();
        return Ok(Diff::Note(format!("{} files:\n  {}", list.len(), list.join("\n  "))));
    }
    between(session, (&host, &task), &item.path, item.kind)
}

/// Shows one change of a session, host's version against the task's. It may be called while the task runs.
///
/// # Errors
/// `Io`.
pub fn diff_change(session: &Session, change: &Change) -> Result<Diff, WorkspaceError> {
    let workspace = &session.meta().workspace;
    let result = session.result_dir();
    let host = Tree::open(workspace).at(Doing::Read, workspace)?;
    let task = Tree::open(&result).at(Doing::Read, &result)?;
    between(session, (&host, &task), &change.path, change.kind)
}

fn between(
    session: &Session,
    (host, task): (&Tree, &Tree),
    path: &TreePath,
    kind: ChangeKind,
) -> Result<Diff, WorkspaceError> {
    let workspace = &session.meta().workspace;
    let old = side(host, path).at(Doing::Read, &workspace.join(path.as_path()))?;
    let new = match kind {
        ChangeKind::Deleted => Side::Absent,
        _ => side(task, path).at(Doing::Read, &session.result_dir())?,
    };
    Ok(render(path, old, new))
}

fn render(path: &TreePath, old: Side, new: Side) -> Diff {
    let (before, after) = match (&old, &new) {
        (Side::Other(_), _) | (_, Side::Other(_)) => {
            return Diff::Note(format!("{path}: {} -> {}", describe(&old), describe(&new)));
        }
        (old, new) => (text(old), text(new)),
    };
    if before == after {
        return Diff::Note(format!(
            "{path}: {} -> {}, same content",
            describe(&old),
            describe(&new)
        ));
    }
    let name = |side: &Side, prefix: &str| match side {
        Side::Absent => "/dev/null".to_owned(),
        _ => format!("{prefix}/{path}"),
    };
    let mut out = format!("--- {}\n+++ {}\n", name(&old, "workspace"), name(&new, "task"));
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(before, after);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        out.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            let line = change.value();
            let body = line.strip_suffix('\n').unwrap_or(line);
            out.push_str(&format!("{}{}\n", change.tag(), escape_line(body)));
            if !line.ends_with('\n') {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
    Diff::Text(out)
}

fn text(side: &Side) -> &str {
    match side {
        Side::Text(text) => text,
        _ => "",
    }
}

fn describe(side: &Side) -> String {
    match side {
        Side::Absent => "nothing".to_owned(),
        Side::Text(text) => format!("text, {} bytes", text.len()),
        Side::Other(note) => note.clone(),
    }
}

fn side(tree: &Tree, path: &TreePath) -> std::io::Result<Side> {
    Ok(match node(tree, path)? {
        None => Side::Absent,
        Some(NodeKind::Directory) => Side::Other("directory".to_owned()),
        Some(NodeKind::Special) => Side::Other("special file".to_owned()),
        Some(NodeKind::Symlink) => {
            Side::Other(format!("link to {}", escape(&tree.link(path)?.to_string_lossy())))
        }
        Some(NodeKind::File) => {
            let file = tree.file(path)?;
            let length = file.metadata()?.len();
            let mut bytes = Vec::new();
            if length > DIFF_BYTES {
                return Ok(Side::Other(format!("file of {length} bytes, too large to show")));
            }
            file.take(DIFF_BYTES).read_to_end(&mut bytes)?;
            match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Side::Text(text),
                _ => Side::Other(format!("binary, {length} bytes")),
            }
        }
    })
}
