//! What an index brings to the next commit.

use std::collections::BTreeSet;

use super::commits::{Hits, Judge};
use super::id::ObjectId;
use super::index::{Index, Ready, Staged};
use super::limits;
use super::object::{DIRECTORY, Entry};
use super::refs::Refs;
use super::store::{Store, Unread, bytes};
use super::{Note, Repository};
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::path::TreePath;
use crate::workspace::plan::HoldReason;
use crate::workspace::text::escape;
use crate::workspace::tree::Tree;

const INDEX: &str = "index";
/// Parts that say which files git need not look at.
const LOOKS_AWAY: [[u8; 4]; 2] = [*b"FSMN", *b"UNTR"];
/// The part of an index that lies in another file.
const SPLIT: [u8; 4] = *b"link";

/// Judges the index that a task left, if it left one.
pub(super) fn judge(
    changes: &[Change],
    repository: &Repository,
    commits: &mut Judge<'_>,
    store: &mut Store<'_>,
    after: &Refs,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let left = |c: &Change| {
        c.path.as_str() == Some(INDEX)
            && matches!(c.kind, ChangeKind::Created | ChangeKind::Modified)
    };
    if !changes.iter().any(left) {
        return Ok(());
    }
    let users = read(&repository.host, store)?.unwrap_or_default();
    let Some(new) = read(&repository.result, store)? else { return Ok(()) };
    let head = match after.head() {
        Some(id) => Some(store.commit(&id)?.tree),
        None => None,
    };
    parts(&users, &new, notes)?;
    let changed = entries(&users, &new, head, commits, store, notes)?;
    ready(&users, &new, &changed, store, notes)
}

fn read(tree: &Tree, store: &Store<'_>) -> Result<Option<Index>, Unread> {
    match bytes(tree, INDEX, limits::INDEX_BYTES).map_err(Unread::Store)? {
        Some(content) => Index::parse(store.format(), &content)
            .map(Some)
            .ok_or(Unread::Form("indexes of this form")),
        None => Ok(None),
    }
}

fn parts(users: &Index, new: &Index, notes: &mut Vec<Note>) -> Result<(), Unread> {
    if new.parts.contains(&SPLIT) {
        return Err(Unread::Form("split indexes"));
    }
    for part in LOOKS_AWAY {
        if new.parts.contains(&part) && !users.parts.contains(&part) {
            let text = "the index says which files not to look at";
            notes.push(Note::new(HoldReason::GitNames, text));
        }
    }
    Ok(())
}

/// Judges every path whose content is neither the user's nor the last commit's; gives the paths that differ from the
/// user's index.
fn entries(
    users: &Index,
    new: &Index,
    head: Option<ObjectId>,
    commits: &mut Judge<'_>,
    store: &mut Store<'_>,
    notes: &mut Vec<Note>,
) -> Result<BTreeSet<Vec<u8>>, Unread> {
    let mut changed = BTreeSet::new();
    let mut hits = Hits::default();
    let keys: BTreeSet<&(Vec<u8>, u8)> = users.staged.keys().chain(new.staged.keys()).collect();
    for key in keys {
        let (was, now) = (users.staged.get(key), new.staged.get(key));
        if now.is_some_and(|now| now.hidden) && was.is_none_or(|was| !was.hidden) {
            let path = escape(&String::from_utf8_lossy(&key.0));
            let text = format!("the index hides changes of {path}");
            notes.push(Note::new(HoldReason::GitNames, text));
        }
        let same = |was: &Staged, now: &Staged| was.mode == now.mode && was.id == now.id;
        if was.zip(now).is_some_and(|(was, now)| same(was, now)) {
            continue;
        }
        changed.insert(key.0.clone());
        if now.is_some_and(|now| now.mode == DIRECTORY) {
            return Err(Unread::Form("sparse indexes"));
        }
        let path = TreePath::parse(&key.0).ok_or(Unread::Form("paths of this form"))?;
        let entry = now.map(|now| Entry { mode: now.mode, name: Vec::new(), id: now.id });
        let committed = match &head {
            Some(head) => store.at(head, &path)?,
            None => None,
        };
        let as_committed = match (&committed, &entry) {
            (Some(committed), Some(entry)) => committed.same(entry),
            (None, None) => true,
            _ => false,
        };
        if as_committed {
            continue;
        }
        if let Some(reason) = commits.hold(store, &path, entry.as_ref(), true)? {
            hits.push(path, reason);
        }
    }
    hits.note("the index", notes);
    Ok(changed)
}

/// The trees that an index holds ready become part of the next commit unseen, so they have to be what it lists.
fn ready(
    users: &Index,
    new: &Index,
    changed: &BTreeSet<Vec<u8>>,
    store: &mut Store<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let mut touched: BTreeSet<&[u8]> = BTreeSet::new();
    for path in changed {
        touched.insert(b"");
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        touched.extend(ends.filter_map(|end| path.get(..end)));
    }
    for (dir, tree) in &new.ready {
        let is_users = users.ready.get(dir) == Some(tree) && !touched.contains(dir.as_slice());
        if !is_users && !is_listed(new, dir, tree, store)? {
            let text = "the index holds a tree ready that is not what it lists";
            notes.push(Note::new(HoldReason::GitNames, text));
            break;
        }
    }
    Ok(())
}

/// Whether a tree holds exactly what the index lists below a directory.
fn is_listed(
    index: &Index,
    dir: &[u8],
    tree: &Ready,
    store: &mut Store<'_>,
) -> Result<bool, Unread> {
    let mut prefix = dir.to_vec();
    if !prefix.is_empty() {
        prefix.push(b'/');
    }
    let mut entries = 0_usize;
    for entry in store.tree(&tree.id)?.iter() {
        let mut path = prefix.clone();
        path.extend_from_slice(&entry.name);
        let count = if entry.is_directory() {
            index.ready.get(&path).filter(|ready| ready.id == entry.id).map(|ready| ready.entries)
        } else {
            let staged = index.staged.get(&(path, 0));
            staged.filter(|s| s.mode == entry.mode && s.id == entry.id).map(|_| 1)
        };
        let Some(count) = count else { return Ok(false) };
        entries = entries.saturating_add(count);
    }
    let below = index.staged.range((prefix.clone(), 0)..);
    let listed = below.take_while(|((path, _), _)| path.starts_with(&prefix)).count();
    Ok(entries == tree.entries && entries == listed)
}
