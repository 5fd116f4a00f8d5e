//! What the names and the bookkeeping of a repository may become.

use std::collections::BTreeSet;

use super::limits;
use super::object::Kind;
use super::refs::{Refs, Value};
use super::store::{Store, Unread, bytes};
use super::{Note, Repository};
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::git::{self, GitPart};
use crate::workspace::plan::HoldReason;
use crate::workspace::text::escape;

/// What git keeps while a command waits for its user, and takes away when it ends.
const UNDER_WAY: [&str; 6] =
    ["CHERRY_PICK_HEAD", "MERGE_HEAD", "REVERT_HEAD", "rebase-apply", "rebase-merge", "sequencer"];

/// A name that stands for something else than before.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) name: String,
    pub(super) old: Option<Value>,
    pub(super) new: Option<Value>,
}

impl Moved {
    /// In the words of people.
    pub(super) fn told(&self) -> String {
        let what = if let Some(branch) = self.name.strip_prefix("refs/heads/") {
            format!("branch {branch}")
        } else if let Some(tag) = self.name.strip_prefix("refs/tags/") {
            format!("tag {tag}")
        } else {
            self.name.strip_prefix("refs/").unwrap_or(&self.name).to_owned()
        };
        let how = match (&self.old, &self.new) {
            (_, None) => "removed",
            (None, Some(_)) => "made",
            (Some(_), Some(_)) => "moved",
        };
        format!("{what} {how}")
    }
}

/// Looks at which files changed.
pub(super) fn files(
    changes: &[Change],
    repository: &Repository,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let mut packs = false;
    let mut under_way = BTreeSet::new();
    for change in changes {
        let Some(name) = change.path.as_str() else { continue };
        let gone = change.kind == ChangeKind::Deleted;
        let top = name.split('/').next().unwrap_or(name);
        let what = escape(name);
        match git::part(name) {
            // An object that a task removed stays where it is: removals of objects are never carried over.
            GitPart::Object if gone => {}
            GitPart::Object if change.kind != ChangeKind::Created => {
                notes.push(Note::new(HoldReason::GitObject, format!("{what} was written over")));
            }
            GitPart::Object => packs |= name.starts_with("objects/pack/"),
            GitPart::Data if top == "logs" => log(name, gone, repository, notes)?,
            _ if top == "shallow" => {
                let text = "where the history ends (shallow) was changed";
                notes.push(Note::new(HoldReason::GitNames, text));
            }
            _ if top == "index" && gone => {
                notes.push(Note::new(HoldReason::GitNames, "the index was removed"));
            }
            _ if !gone && UNDER_WAY.contains(&top) => {
                under_way.insert(top.to_owned());
            }
            _ => {}
        }
    }
    if packs {
        let text = "new packs, which are not looked through";
        notes.push(Note::new(HoldReason::GitPacked, text));
    }
    for name in under_way {
        let text = format!("a command waits for its user ({name})");
        notes.push(Note::new(HoldReason::GitNames, text));
    }
    Ok(())
}

/// A log of a name only ever grows: it is the way back when a branch was moved.
fn log(
    name: &str,
    gone: bool,
    repository: &Repository,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let read = |tree| bytes(tree, name, limits::TEXT_BYTES).map_err(Unread::Store);
    let Some(old) = read(&repository.host)? else { return Ok(()) };
    let grown = !gone && read(&repository.result)?.is_some_and(|new| new.starts_with(&old));
    if !grown {
        let text = format!("{} was cut or rewritten", escape(name));
        notes.push(Note::new(HoldReason::GitNames, text));
    }
    Ok(())
}

/// The names that stand for something else.
pub(super) fn moved(before: &Refs, after: &Refs) -> Vec<Moved> {
    let names: BTreeSet<&str> = before.names().chain(after.names()).collect();
    let moved = names.into_iter().filter_map(|name| {
        let (old, new) = (before.get(name), after.get(name));
        (old != new).then(|| Moved { name: name.to_owned(), old, new })
    });
    moved.collect()
}

/// Looks at what names may stand for: only branches, tags, notes and the stash change, to objects that are there, and no
/// new name takes another's place.
pub(super) fn judge(
    before: &Refs,
    after: &Refs,
    moved: &[Moved],
    store: &Store<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let mut note = |text: String| notes.push(Note::new(HoldReason::GitNames, text));
    if before.packed_sound && !after.packed_sound {
        note("packed-refs is not as git writes it".to_owned());
    }
    for (name, packed) in &after.packed {
        if before.packed.get(name) == Some(packed) {
            continue;
        }
        let Some(peeled) = packed.peeled else { continue };
        if store.peel(&packed.id)?.1 != peeled {
            note(format!("packed-refs says of {} what it is not", escape(name)));
        }
    }
    for Moved { name, old, new } in moved {
        let shown = escape(name);
        let Some(new) = new else {
            note(format!("{shown} was removed"));
            continue;
        };
        let is_branch = name.starts_with("refs/heads/");
        let ordinary = is_branch
            || name == "HEAD"
            || name == "refs/stash"
            || name.starts_with("refs/tags/")
            || name.starts_with("refs/notes/");
        match new {
            _ if !ordinary => note(format!("{shown} was made or moved")),
            Value::Link(to) if name == "HEAD" && to.starts_with("refs/heads/") => {}
            Value::Link(_) | Value::Broken => note(format!("{shown} stands for no object")),
            Value::Id(id) => {
                if (is_branch || name == "HEAD") && store.read(id)?.0 != Kind::Commit {
                    return Err(Unread::Kind(*id));
                }
                // Files without a commit are in nobody's history, but a checkout of paths takes them out.
                if store.peel(id)?.0 != Kind::Commit {
                    note(format!("{shown} stands for no commit"));
                }
            }
        }
        if old.is_none()
            && let Some(other) = shadowed(name, before, after)
        {
            note(format!("{shown} takes the place of {}", escape(&other)));
        }
    }
    Ok(())
}

/// Another name that git has for the same short one.
fn shadowed(name: &str, before: &Refs, after: &Refs) -> Option<String> {
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))?;
    let others = ["", "tags/", "heads/", "remotes/"].map(|kind| format!("refs/{kind}{short}"));
    let remote = format!("refs/remotes/{short}/HEAD");
    let taken = |other: &String| {
        other != name && (before.get(other).is_some() || after.get(other).is_some())
    };
    others.into_iter().chain([remote]).find(taken)
}
