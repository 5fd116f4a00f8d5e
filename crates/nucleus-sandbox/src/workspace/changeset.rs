//! What a task changed, with diffs, as one bounded record.

use std::collections::{BTreeMap, BTreeSet};

use nucleus_wire::changeset::{
    ChangeSet, ChangedFile, DIFF_BYTES_MAX, FILES_MAX, FORMAT, TOTAL_BYTES_MAX,
};

use super::change::{self, Change, ChangeKind};
use super::error::WorkspaceError;
use super::node::NodeKind;
use super::path::TreePath;
use super::plan::ancestors;
use super::review::{Diff, diff_change};
use super::session::Session;

/// A new directory with more paths than this is told as one change: the output of a build, not work of a person.
const NEW_DIRECTORY_PATHS: u64 = 50;

/// Collects what the task of a session changed, against the workspace as it is now. Call it when no pod runs, and before
/// the changes are applied: afterwards both sides are the same.
///
/// # Errors
/// [`WorkspaceError::WorkspaceGone`], or `Io`.
pub fn changeset(session: &Session) -> Result<ChangeSet, WorkspaceError> {
    let changes = change::scan(session)?.changes;
    let within = new_directories(&changes);
    let folded: BTreeSet<&TreePath> =
        within.iter().filter(|(_, paths)| **paths > NEW_DIRECTORY_PATHS).map(|(d, _)| *d).collect();
    let mut set = ChangeSet { version: FORMAT, files: Vec::new(), left_out: 0 };
    let mut room = TOTAL_BYTES_MAX;
    let mut git = 0_u64;
    for change in &changes {
        if change.path.as_path().starts_with(".git") {
            git = git.saturating_add(1);
            continue;
        }
        if ancestors(&change.path).any(|dir| folded.contains(&dir)) {
            continue;
        }
        let paths = within.get(&change.path).copied();
        if paths.is_some_and(|paths| (1..=NEW_DIRECTORY_PATHS).contains(&paths)) {
            // It is shown by what is in it.
            continue;
        }
        if set.files.len() >= FILES_MAX {
            set.left_out = set.left_out.saturating_add(1);
            continue;
        }
        let mut file = ChangedFile {
            path: change.path.to_string(),
            kind: change.kind.word().to_owned(),
            diff: None,
            note: None,
        };
        match paths {
            Some(0) => file.note = Some("an empty directory".to_owned()),
            Some(paths) => file.note = Some(format!("a new directory with {paths} paths in it")),
            None => {
                show(&mut file, diff_change(session, change)?, &mut room);
            }
        }
        set.files.push(file);
    }
    if git > 0 {
        set.files.push(ChangedFile {
            path: ".git".to_owned(),
            kind: ChangeKind::Modified.word().to_owned(),
            diff: None,
            note: Some(format!("the repository: {git} paths of its own")),
        });
    }
    Ok(set)
}

/// The new directories, each with the number of changed paths in it.
fn new_directories(changes: &[Change]) -> BTreeMap<&TreePath, u64> {
    let mut within: BTreeMap<&TreePath, u64> = changes
        .iter()
        .filter(|c| c.kind == ChangeKind::Created && c.node == NodeKind::Directory)
        .map(|c| (&c.path, 0))
        .collect();
    for change in changes {
        for dir in ancestors(&change.path) {
            if let Some(paths) = within.get_mut(&dir) {
                *paths = paths.saturating_add(1);
            }
        }
    }
    within
}

/// Puts as much of the diff into the record as there is room for.
fn show(file: &mut ChangedFile, diff: Diff, room: &mut usize) {
    match diff {
        Diff::Note(note) => file.note = Some(note),
        Diff::Text(text) => {
            let shown = cut(&text, DIFF_BYTES_MAX.min(*room));
            *room = room.saturating_sub(shown.len());
            if shown.len() < text.len() {
                file.note =
                    Some(format!("{} of {} bytes of the diff shown", shown.len(), text.len()));
            }
            file.diff = Some(shown.to_owned()).filter(|shown| !shown.is_empty());
        }
    }
}

/// The longest beginning of at most `bytes` bytes that ends with a line, or with a character where no line ends.
fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let head = text.get(..end).unwrap_or_default();
    head.rfind('\n').and_then(|line| head.get(..=line)).unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_ends_with_a_line_or_a_character() {
        assert_eq!(cut("ab\ncd\n", 6), "ab\ncd\n");
        assert_eq!(cut("ab\ncd\n", 5), "ab\n");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("é", 0), "");
    }

    #[test]
    fn a_long_diff_is_cut_visibly_and_room_is_shared() {
        let mut room = 10;
        let mut file = ChangedFile {
            path: "a".to_owned(),
            kind: "created".to_owned(),
            diff: None,
            note: None,
        };
        show(&mut file, Diff::Text("+one\n+two\n+three\n".to_owned()), &mut room);
        assert_eq!(file.diff.as_deref(), Some("+one\n+two\n"));
        assert_eq!(file.note.as_deref(), Some("10 of 17 bytes of the diff shown"));
        assert_eq!(room, 0);
    }
}
