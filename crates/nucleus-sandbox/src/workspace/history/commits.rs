//! What new commits bring.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use super::Note;
use super::diff::{Now, diff};
use super::id::ObjectId;
use super::limits;
use super::names::Moved;
use super::object::{Kind, LINK};
use super::refs::{Refs, Value};
use super::store::{Store, Unread};
use super::walk::reach;
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;
use crate::workspace::plan::{HoldReason, Holder, Host};
use crate::workspace::text::escape;

/// Most commits told.
const COMMITS_TOLD: usize = 64;

/// Gives what commits and the index bring the judgement that files get.
pub(super) struct Judge<'a> {
    holder: &'a Holder<'a>,
    host: &'a Host<'a>,
    /// Where the repository's files lie in the workspace.
    top: &'a TreePath,
    before: &'a Refs,
    moved: &'a [Moved],
    room: usize,
    /// Trees that the user's own names lead to: what is in them at the same path is nothing new.
    known: Option<Vec<ObjectId>>,
}

/// Paths that would wait as files.
#[derive(Default)]
pub(super) struct Hits(Vec<(TreePath, HoldReason)>);

impl Hits {
    pub(super) fn push(&mut self, path: TreePath, reason: HoldReason) {
        self.0.push((path, reason));
    }

    /// Notes them as brought by `what`.
    pub(super) fn note(self, what: &str, notes: &mut Vec<Note>) {
        let mut paths = self.0.iter().take(limits::PATHS_TOLD);
        let Some((first, reason)) = paths.next() else { return };
        let mut text = format!("{what} has {first} ({reason})");
        for (path, _) in paths {
            text.push_str(&format!(", {path}"));
        }
        if let Some(more @ 1..) = self.0.len().checked_sub(limits::PATHS_TOLD) {
            text.push_str(&format!(" and {more} more"));
        }
        notes.push(Note::new(HoldReason::GitCommit, text));
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        holder: &'a Holder<'a>,
        host: &'a Host<'a>,
        top: &'a TreePath,
        before: &'a Refs,
        moved: &'a [Moved],
    ) -> Self {
        Self { holder, host, top, before, moved, room: limits::COMPARED_ENTRIES, known: None }
    }

    /// Looks at every commit that the task made or that a moved name newly leads to, and at what moved branches would
    /// bring as a whole; gives the number of commits that are new to the user's names.
    pub(super) fn look(
        &mut self,
        store: &mut Store<'_>,
        notes: &mut Vec<Note>,
    ) -> Result<usize, Unread> {
        let old = self.before.ids();
        let mut tips = Vec::new();
        for moved in self.moved {
            if let Some(Value::Id(id)) = moved.new
                && !old.contains(&id)
                && let (Kind::Commit, commit) = store.peel(&id)?
            {
                tips.push(commit);
            }
        }
        let reached = reach(store, &tips, &old)?;
        // A commit that no name leads to is found by the log of one, or by its id.
        let all: BTreeSet<ObjectId> = reached.iter().copied().chain(store.new_commits()).collect();
        let first = notes.len();
        for id in all {
            self.commit(store, id, notes)?;
            if notes.len() > COMMITS_TOLD {
                break;
            }
        }
        if notes.len() == first {
            self.branches(store, notes)?;
        }
        Ok(reached.len())
    }

    fn commit(
        &mut self,
        store: &mut Store<'_>,
        id: ObjectId,
        notes: &mut Vec<Note>,
    ) -> Result<(), Unread> {
        let commit = store.commit(&id)?;
        let mut parents = Vec::with_capacity(commit.parents.len());
        for parent in &commit.parents {
            parents.push(store.commit(parent)?.tree);
        }
        let hits = self.compare(store, &parents, commit.tree, true)?;
        let subject: String = commit.subject.chars().take(limits::SUBJECT_CHARS).collect();
        hits.note(&format!("commit {} \u{201c}{}\u{201d}", id.short(), escape(&subject)), notes);
        Ok(())
    }

    /// A branch that moved onto commits which the user has already, or onto a merge with such, brings what they hold.
    fn branches(&mut self, store: &mut Store<'_>, notes: &mut Vec<Note>) -> Result<(), Unread> {
        for Moved { name, old, new } in self.moved {
            let (Some(Value::Id(old)), Some(Value::Id(new))) = (old, new) else { continue };
            let Some(branch) = name.strip_prefix("refs/heads/") else { continue };
            let Ok(old) = store.commit(old) else { continue };
            let new = store.commit(new)?;
            let hits = self.compare(store, &[old.tree], new.tree, false)?;
            hits.note(&format!("branch {} now", escape(branch)), notes);
        }
        Ok(())
    }

    fn compare(
        &mut self,
        store: &mut Store<'_>,
        parents: &[ObjectId],
        tree: ObjectId,
        excuse: bool,
    ) -> Result<Hits, Unread> {
        let mut hits = Hits::default();
        let mut room = self.room;
        let outcome = diff(store, parents, tree, &mut room, &mut |store, path, now| {
            if let Some(reason) = self.hold(store, &path, now, excuse)? {
                hits.push(path, reason);
            }
            Ok(())
        });
        self.room = room;
        outcome.map(|()| hits)
    }

    /// Why what is at a path now would wait as a file. With `excuse`, what the user's own names have there does not.
    pub(super) fn hold(
        &mut self,
        store: &mut Store<'_>,
        path: &TreePath,
        now: Now<'_>,
        excuse: bool,
    ) -> Result<Option<HoldReason>, Unread> {
        let is_link = now.is_some_and(|entry| entry.mode == LINK);
        let kind = if now.is_some() { ChangeKind::Modified } else { ChangeKind::Deleted };
        let node = if is_link { NodeKind::Symlink } else { NodeKind::File };
        let whole = path.names().fold(self.top.clone(), |whole, name| whole.child(name));
        let change = Change { path: whole, kind, node };
        let target = match now.filter(|_| is_link) {
            Some(entry) => Some(store.read(&entry.id)?.1),
            None => None,
        };
        let target = target.as_deref().map(OsStr::from_bytes);
        let reason = self
            .holder
            .content(&change, target, self.host)
            .map_err(|error| Unread::Store(io::Error::other(error.to_string())))?;
        if reason.is_none() || (excuse && self.is_known(store, path, now)?) {
            return Ok(None);
        }
        Ok(reason)
    }

    fn is_known(
        &mut self,
        store: &mut Store<'_>,
        path: &TreePath,
        now: Now<'_>,
    ) -> Result<bool, Unread> {
        let known = match &self.known {
            Some(known) => known.clone(),
            None => self.known.insert(self.trees(store)).clone(),
        };
        for tree in known {
            let same = match (store.at(&tree, path)?, now) {
                (Some(was), Some(now)) => was.same(now),
                (None, None) => true,
                _ => false,
            };
            if same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The trees of HEAD, of where moved names stood, and of the commits that these no longer lead to: a commit that was
    /// amended or rebased brings what it brought before.
    fn trees(&self, store: &Store<'_>) -> Vec<ObjectId> {
        let commit = |id: &ObjectId| match store.peel(id) {
            Ok((Kind::Commit, commit)) => Some(commit),
            _ => None,
        };
        let id = |value: &Option<Value>| match value {
            Some(Value::Id(id)) => commit(id),
            _ => None,
        };
        let old: Vec<ObjectId> = self.moved.iter().filter_map(|moved| id(&moved.old)).collect();
        let new: Vec<ObjectId> = self.moved.iter().filter_map(|moved| id(&moved.new)).collect();
        let left = reach(store, &old, &new).unwrap_or_default();
        let head = self.before.head().as_ref().and_then(commit);
        let commits: BTreeSet<ObjectId> = head.into_iter().chain(old).chain(left).collect();
        let trees: BTreeSet<ObjectId> = commits
            .iter()
            .take(limits::KNOWN_TREES)
            .filter_map(|id| store.commit(id).ok())
            .map(|commit| commit.tree)
            .collect();
        trees.into_iter().collect()
    }
}
