//! What a task did to a repository's history, read as data: its new objects, its references, its commits.
//!
//! Nothing here runs git. A file that waits for the user must not reach them inside a commit, so every path that a new
//! commit changes gets the judgement its file would get. That only means something when objects are what their names
//! say and names stand for what they seem to: both are looked at first. Whatever cannot be read is held.

use std::path::PathBuf;

use super::change::{Change, ChangeKind};
use super::git;
use super::node::NodeKind;
use super::path::TreePath;
use super::plan::{HoldReason, Holder, Host};
use super::text::escape;
use super::tree::Tree;

mod commits;
mod delta;
mod diff;
mod id;
mod index;
mod inflate;
mod limits;
mod loose;
mod names;
mod object;
mod pack;
mod refs;
mod staged;
mod store;
mod walk;

use id::{Format, ObjectId};
use loose::Verdict;
use refs::Refs;
use store::{Store, Unread, path};

/// What a task did to the history.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// For the summary: moved references and new commits.
    pub(crate) told: Option<String>,
    /// Why it waits.
    pub(crate) hold: Option<HoldReason>,
    /// What of it is the reason.
    pub(crate) detail: Option<String>,
}

/// Something that holds the repository.
#[derive(Debug)]
struct Note {
    reason: HoldReason,
    text: String,
}

impl Note {
    fn new(reason: HoldReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// Most reasons told at once.
const NOTES_TOLD: usize = 4;

/// One repository: the workspace's own, or that of a submodule. Names in it are relative to its directory.
struct Repository {
    host: Tree,
    result: Tree,
    /// Where its directory lies on the host.
    at: PathBuf,
    /// Where its files lie in the workspace.
    top: TreePath,
}

/// Judges the changes of the workspace's own `.git`, and of the repositories of submodules in it.
pub(crate) fn judge(changes: &[Change], holder: &Holder<'_>, host: &Host<'_>) -> History {
    let mut history = History::default();
    let mut notes = Vec::new();
    // Commits of a worktree are in the repository's own store.
    let worktrees: Vec<&TreePath> = host.git.worktrees().collect();
    for dir in host.git.iter().filter(|dir| !worktrees.contains(dir)) {
        let own = beneath(changes, dir, host);
        if own.is_empty() {
            continue;
        }
        let looked = Repository::open(dir, host)
            .and_then(|repository| look(&own, &repository, holder, host, &mut history, &mut notes));
        if let Err(unread) = looked {
            notes.push(Note::new(HoldReason::GitUnread, unread.to_string()));
        }
    }
    history.hold = notes.first().map(|note| note.reason);
    if !notes.is_empty() {
        let mut texts: Vec<String> =
            notes.iter().take(NOTES_TOLD).map(|note| note.text.clone()).collect();
        if let Some(more @ 1..) = notes.len().checked_sub(NOTES_TOLD) {
            texts.push(format!("and {more} more"));
        }
        history.detail = Some(texts.join("; "));
    }
    history
}

/// The changes in a directory of git's, by their names in it.
fn beneath(changes: &[Change], dir: &TreePath, host: &Host<'_>) -> Vec<Change> {
    let files = changes.iter().filter(|change| change.node != NodeKind::Directory);
    let own = files.filter_map(|change| {
        let (of, rest) = host.git.split(&change.path)?;
        let path = TreePath::parse(rest.as_bytes()).filter(|_| of == dir)?;
        Some(Change { path, ..change.clone() })
    });
    own.collect()
}

impl Repository {
    fn open(dir: &TreePath, host: &Host<'_>) -> Result<Self, Unread> {
        let top = git::top_of(&host.tree, dir, host.root()).map_err(Unread::Store)?;
        Ok(Self {
            host: host.tree.beneath(dir).map_err(Unread::Store)?,
            result: host.result.beneath(dir).map_err(Unread::Store)?,
            at: host.root().join(dir.as_path()),
            top: top.ok_or(Unread::Form("submodules whose files lie elsewhere"))?,
        })
    }
}

fn look(
    changes: &[Change],
    repository: &Repository,
    holder: &Holder<'_>,
    host: &Host<'_>,
    history: &mut History,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    names::files(changes, repository, notes)?;
    let config = store::text(&repository.host, "config").map_err(Unread::Store)?;
    let format = Format::of_config(&config);
    if repository.host.stat(&path("reftable")).map_err(Unread::Store)?.is_some() {
        return Err(Unread::Form("tables of references (reftable)"));
    }
    let mut store = Store::open(&repository.host, &repository.result, &repository.at, format)?;
    objects(changes, repository, &mut store, notes)?;
    if notes.iter().any(|note| note.reason == HoldReason::GitObject) {
        // Nothing is known of a history whose objects are not what they say.
        return Ok(());
    }
    let before = Refs::of(&repository.host, format).map_err(Unread::Store)?;
    let after = before.after(changes, &repository.result, format).map_err(Unread::Store)?;
    let moved = names::moved(&before, &after);
    names::judge(&before, &after, &moved, &store, notes)?;
    let mut commits = commits::Judge::new(holder, host, &repository.top, &before, &moved);
    let new = commits.look(&mut store, notes)?;
    if let Some(told) = told(&moved, new) {
        let of =
            if repository.top.is_root() { told } else { format!("{}: {told}", repository.top) };
        history.told = Some(match history.told.take() {
            Some(before) => format!("{before}; {of}"),
            None => of,
        });
    }
    staged::judge(changes, repository, &mut commits, &mut store, &after, notes)
}

/// Verifies the new objects and makes them known to the store.
fn objects(
    changes: &[Change],
    repository: &Repository,
    store: &mut Store<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let mut room = limits::NEW_OBJECT_BYTES;
    let new: Vec<(ObjectId, &TreePath)> = changes
        .iter()
        .filter(|c| c.kind == ChangeKind::Created && c.node == NodeKind::File)
        .filter_map(|c| Some((object_of(&c.path, store.format())?, &c.path)))
        .collect();
    if new.len() > limits::NEW_OBJECTS {
        return Err(Unread::Limit("objects"));
    }
    for (id, place) in new {
        let verdict = repository
            .result
            .file(place)
            .and_then(|file| loose::verify(file, id, limits::OBJECT_BYTES, &mut room));
        match verdict.map_err(|error| Unread::Object(id, error))? {
            Verdict::Sound(kind) => store.add(id, kind)?,
            Verdict::Unsound(why) => {
                let text = format!("object {} is not sound: {why}", id.short());
                notes.push(Note::new(HoldReason::GitObject, text));
            }
            Verdict::TooLarge => return Err(Unread::Limit("bytes of objects")),
        }
    }
    Ok(())
}

/// The object that a file of this path holds.
fn object_of(path: &TreePath, format: Format) -> Option<ObjectId> {
    let (fan, rest) = path.as_str()?.strip_prefix("objects/")?.split_once('/')?;
    (fan.len() == 2).then(|| ObjectId::parse(format, format!("{fan}{rest}").as_bytes()))?
}

/// One line for people: how many commits there are, and which names moved.
fn told(moved: &[names::Moved], commits: usize) -> Option<String> {
    let mut parts = match commits {
        0 if moved.is_empty() => return None,
        0 => Vec::new(),
        1 => vec!["1 new commit".to_owned()],
        many => vec![format!("{many} new commits")],
    };
    parts.extend(moved.iter().take(limits::NAMES_TOLD).map(|moved| escape(&moved.told())));
    if let Some(more @ 1..) = moved.len().checked_sub(limits::NAMES_TOLD) {
        parts.push(format!("{more} more references moved"));
    }
    Some(parts.join(", "))
}
