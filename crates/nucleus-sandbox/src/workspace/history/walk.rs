//! Which commits become part of a history.

use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use super::id::ObjectId;
use super::limits;
use super::object::Kind;
use super::store::{Store, Unread};

/// The commits that `from` leads to and `without` does not. Where a clock lied this can name some that `without` leads
/// to as well, never leave one out.
pub(super) fn reach(
    store: &Store<'_>,
    from: &[ObjectId],
    without: &[ObjectId],
) -> Result<Vec<ObjectId>, Unread> {
    let known: HashSet<ObjectId> = without.iter().copied().collect();
    if let Some(found) = of_the_task(store, from, &known)? {
        return Ok(found);
    }
    let mut walk = Walk::default();
    for id in from {
        walk.meet(store, *id, false)?;
    }
    for id in &known {
        // What the user's own names stand for need not be a commit, or be there.
        if let Ok((Kind::Commit, commit)) = store.peel(id) {
            walk.meet(store, commit, true)?;
        }
    }
    walk.run(store)
}

/// The same, if what the task made starts right at what the user's names stand for; this reads none of the user's history.
fn of_the_task(
    store: &Store<'_>,
    from: &[ObjectId],
    known: &HashSet<ObjectId>,
) -> Result<Option<Vec<ObjectId>>, Unread> {
    let mut found = BTreeSet::new();
    let mut waiting = from.to_vec();
    while let Some(id) = waiting.pop() {
        if known.contains(&id) || found.contains(&id) {
            continue;
        }
        if !store.is_new(&id) {
            return Ok(None);
        }
        if found.len() >= limits::NEW_COMMITS {
            return Err(Unread::Limit("commits"));
        }
        found.insert(id);
        waiting.extend(store.commit(&id)?.parents);
    }
    Ok(Some(found.into_iter().collect()))
}

/// A walk from the newest commit to the oldest, of both sides at once.
#[derive(Default)]
struct Walk {
    queue: BinaryHeap<(i64, ObjectId)>,
    /// Whether `without` leads to it.
    old: HashMap<ObjectId, bool>,
    parents: HashMap<ObjectId, Vec<ObjectId>>,
    /// Commits in the queue to which only `from` is known to lead.
    open: BTreeSet<ObjectId>,
    oldest: Option<i64>,
}

impl Walk {
    fn meet(&mut self, store: &Store<'_>, id: ObjectId, old: bool) -> Result<(), Unread> {
        if self.old.get(&id).is_some_and(|was| *was || !old) {
            return Ok(());
        }
        let time = match self.parents.get(&id) {
            // Met again from the other side: its ancestors have to be told.
            Some(_) => i64::MAX,
            None => {
                let commit = store.commit(&id)?;
                self.parents.insert(id, commit.parents);
                commit.time
            }
        };
        if self.parents.len() > limits::WALKED_COMMITS {
            return Err(Unread::Limit("commits"));
        }
        self.old.insert(id, old);
        if old {
            self.open.remove(&id);
        } else {
            self.open.insert(id);
            self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        }
        self.queue.push((time, id));
        Ok(())
    }

    fn run(mut self, store: &Store<'_>) -> Result<Vec<ObjectId>, Unread> {
        while let Some((time, id)) = self.queue.pop() {
            if self.open.is_empty() && self.oldest.is_none_or(|oldest| time < oldest) {
                break;
            }
            self.open.remove(&id);
            let old = self.old.get(&id).copied().unwrap_or(false);
            for parent in self.parents.get(&id).cloned().unwrap_or_default() {
                match self.meet(store, parent, old) {
                    // The user's own history ends somewhere in a shallow clone.
                    Err(Unread::Missing(_)) if !store.is_new(&id) => {}
                    other => other?,
                }
            }
        }
        let new = self.old.iter().filter(|(_, old)| !**old).map(|(id, _)| *id);
        Ok(new.collect())
    }
}
