//! What an index brings to the next commit.

use std::collections::{BTreeMap, BTreeSet};

use super::commits::{Hits, Judge};
use super::id::ObjectId;
use super::limits;
use super::object::{DIRECTORY, Entry};
use super::refs::Refs;
use super::store::{Store, Unread, bytes};
use super::{Note, Repository};
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::git;
use crate::workspace::path::TreePath;
use crate::workspace::tree::Tree;

const INDEX: &str = "index";

/// What an index lists, by path and stage of a merge. Its flags and caches do not reach the user (`git::settle`).
type Staged = BTreeMap<(Vec<u8>, u8), Entry>;

/// Judges the index that a task left, if it left one: every path whose content is neither the user's nor the last
/// commit's.
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
    let mut hits = Hits::default();
    let keys: BTreeSet<&(Vec<u8>, u8)> = users.keys().chain(new.keys()).collect();
    for key in keys {
        let (was, now) = (users.get(key), new.get(key));
        if same(was, now) {
            continue;
        }
        if now.is_some_and(|now| now.mode == DIRECTORY) {
            return Err(Unread::Form("sparse indexes"));
        }
        let path = TreePath::parse(&key.0).ok_or(Unread::Form("paths of this form"))?;
        let committed = match &head {
            Some(head) => store.at(head, &path)?,
            None => None,
        };
        if same(committed.as_ref(), now) {
            continue;
        }
        if let Some(reason) = commits.hold(store, &path, now, true)? {
            hits.push(path, reason);
        }
    }
    hits.note("the index", notes);
    Ok(())
}

fn same(was: Option<&Entry>, now: Option<&Entry>) -> bool {
    match (was, now) {
        (Some(was), Some(now)) => was.same(now),
        (None, None) => true,
        _ => false,
    }
}

fn read(tree: &Tree, store: &Store<'_>) -> Result<Option<Staged>, Unread> {
    let content = bytes(tree, INDEX, limits::INDEX_BYTES).map_err(Unread::Store)?;
    let Some(content) = content else { return Ok(None) };
    let unknown = || Unread::Form("indexes of this form");
    let listed = git::staged(&content).ok_or_else(unknown)?;
    let entries = listed.into_iter().map(|(key, (mode, id))| {
        let id = ObjectId::new(store.format(), &id).ok_or_else(unknown)?;
        Ok((key, Entry { mode, name: Vec::new(), id }))
    });
    entries.collect::<Result<Staged, Unread>>().map(Some)
}
