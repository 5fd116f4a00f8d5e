//! How a tree differs from those it came from.

use std::collections::HashMap;

use super::id::ObjectId;
use super::object::Entry;
use super::store::{Store, Unread};
use crate::workspace::limits::{DEPTH_LEVELS, PATH_BYTES};
use crate::workspace::path::TreePath;

/// What a commit has at a path; `None` when it took away what was there.
pub(super) type Now<'e> = Option<&'e Entry>;

/// A directory to compare.
struct Level {
    path: TreePath,
    new: Option<ObjectId>,
    old: Vec<Option<ObjectId>>,
}

/// Tells each path at which a tree differs from every one of `parents`; without any, that is each path it has. `room` is
/// how many entries may still be compared.
pub(super) fn diff(
    store: &mut Store<'_>,
    parents: &[ObjectId],
    tree: ObjectId,
    room: &mut usize,
    tell: &mut dyn FnMut(&mut Store<'_>, TreePath, Now<'_>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    if parents.contains(&tree) {
        return Ok(());
    }
    let old = parents.iter().copied().map(Some).collect();
    let mut levels = vec![Level { path: TreePath::root(), new: Some(tree), old }];
    while let Some(level) = levels.pop() {
        let bytes = level.path.as_path().as_os_str().len();
        if level.path.depth() > DEPTH_LEVELS || bytes > PATH_BYTES {
            return Err(Unread::Limit("levels of directories"));
        }
        one(store, &level, room, &mut levels, tell)?;
    }
    Ok(())
}

fn one(
    store: &mut Store<'_>,
    level: &Level,
    room: &mut usize,
    levels: &mut Vec<Level>,
    tell: &mut dyn FnMut(&mut Store<'_>, TreePath, Now<'_>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    let mut list = |store: &mut Store<'_>, id: Option<ObjectId>| {
        let Some(id) = id else { return Ok(Vec::new()) };
        let entries = store.tree(&id)?;
        *room = room.checked_sub(entries.len()).ok_or(Unread::Limit("paths"))?;
        Ok(entries.as_ref().clone())
    };
    let new = list(store, level.new)?;
    let mut old: Vec<HashMap<Vec<u8>, Entry>> = Vec::with_capacity(level.old.len());
    for id in &level.old {
        let entries = list(store, *id)?;
        old.push(entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect());
    }
    for entry in &new {
        let was: Vec<Option<&Entry>> = old.iter().map(|old| old.get(&entry.name)).collect();
        if was.iter().flatten().any(|was| was.same(entry)) {
            continue;
        }
        let path = level.path.child(entry.name());
        if entry.is_directory() {
            let old = directories(&was);
            if !was.is_empty() && was.iter().all(|was| was.is_some_and(|was| !was.is_directory())) {
                tell(store, path.clone(), None)?;
            }
            levels.push(Level { path, new: Some(entry.id), old });
        } else {
            tell(store, path.clone(), Some(entry))?;
            gone(&was, path, levels);
        }
    }
    let Some((first, others)) = old.split_first() else { return Ok(()) };
    let has: HashMap<&[u8], ()> = new.iter().map(|entry| (entry.name.as_slice(), ())).collect();
    for (name, entry) in first.iter().filter(|(name, _)| !has.contains_key(name.as_slice())) {
        let mut was = vec![Some(entry)];
        was.extend(others.iter().map(|old| old.get(name)));
        if was.iter().any(Option::is_none) {
            continue;
        }
        let path = level.path.child(entry.name());
        if was.iter().flatten().any(|was| !was.is_directory()) {
            tell(store, path.clone(), None)?;
        }
        gone(&was, path, levels);
    }
    Ok(())
}

/// What was in a directory that every parent had is to be told too.
fn gone(was: &[Option<&Entry>], path: TreePath, levels: &mut Vec<Level>) {
    let old = directories(was);
    if !old.is_empty() && old.iter().all(Option::is_some) {
        levels.push(Level { path, new: None, old });
    }
}

fn directories(was: &[Option<&Entry>]) -> Vec<Option<ObjectId>> {
    was.iter().map(|was| was.filter(|was| was.is_directory()).map(|was| was.id)).collect()
}
