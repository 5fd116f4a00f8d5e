//! What a task did to a repository's history, read as data: its new objects, its references, its commits.
//!
//! Nothing here runs git. A file that waits for the user must not reach them inside a commit, so every path that a new
//! commit changes gets the judgement its file would get. That only means something when objects are what their names
//! say and names stand for what they seem to: both are looked at first. Whatever cannot be read is held.

use super::change::{Change, ChangeKind};
use super::node::NodeKind;
use super::path::TreePath;
use super::plan::{HoldReason, Holder, Host};
use super::text::escape;

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

/// Judges the changes of the workspace's own `.git`.
pub(crate) fn judge(changes: &[Change], holder: &Holder<'_>, host: &Host<'_>) -> History {
    let mut history = History::default();
    let mut notes = Vec::new();
    if let Err(unread) = look(changes, holder, host, &mut history, &mut notes) {
        notes.push(Note::new(HoldReason::GitUnread, unread.to_string()));
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

fn look(
    changes: &[Change],
    holder: &Holder<'_>,
    host: &Host<'_>,
    history: &mut History,
    notes: &mut Vec<Note>,
) -> Result<(), Unread> {
    let changes: Vec<Change> =
        changes.iter().filter(|c| c.node != NodeKind::Directory).cloned().collect();
    names::files(&changes, host, notes)?;
    let config = store::text(&host.tree, ".git/config").map_err(Unread::Store)?;
    let format = Format::of_config(&config);
    if host.tree.stat(&path(".git/reftable")).map_err(Unread::Store)?.is_some() {
        return Err(Unread::Form("tables of references (reftable)"));
    }
    let mut store = Store::open(&host.tree, &host.result, host.root(), format)?;
    objects(&changes, host, &mut store, notes)?;
    if notes.iter().any(|note| note.reason == HoldReason::GitObject) {
        // Nothing is known of a history whose objects are not what they say.
        return Ok(());
    }
    let before = Refs::of(&host.tree, format).map_err(Unread::Store)?;
    let after = before.after(&changes, &host.result, format).map_err(Unread::Store)?;
    let moved = names::moved(&before, &after);
    names::judge(&before, &after, &moved, &store, notes)?;
    let mut commits = commits::Judge::new(holder, host, &before, &moved);
    let new = commits.look(&mut store, notes)?;
    history.told = told(&moved, new);
    staged::judge(&changes, host, &mut commits, &mut store, &after, notes)
}

/// Verifies the new objects and makes them known to the store.
fn objects(
    changes: &[Change],
    host: &Host<'_>,
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
        let verdict = host
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
    let (fan, rest) = path.as_str()?.strip_prefix(".git/objects/")?.split_once('/')?;
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
