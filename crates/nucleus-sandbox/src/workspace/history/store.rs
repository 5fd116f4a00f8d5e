//! Where the objects of both sides are: the user's own store, and the new ones that a task left beside it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::id::{Format, ObjectId};
use super::limits;
use super::loose;
use super::object::{self, Commit, Entry, Kind};
use super::pack::Pack;
use crate::workspace::path::TreePath;
use crate::workspace::tree::{Tree, is_absent};

/// Why the history cannot be looked through.
#[derive(Debug)]
pub(super) enum Unread {
    Missing(ObjectId),
    Object(ObjectId, io::Error),
    /// It is not of the kind that what names it needs.
    Kind(ObjectId),
    Store(io::Error),
    /// More than is looked through, of these.
    Limit(&'static str),
    /// A form of repository that is not known here.
    Form(&'static str),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id) => write!(f, "object {} is missing", id.short()),
            Self::Object(id, error) => write!(f, "object {} cannot be read ({error})", id.short()),
            Self::Kind(id) => write!(f, "object {} is of another kind than its place", id.short()),
            Self::Store(error) => write!(f, "the objects cannot be read ({error})"),
            Self::Limit(what) => write!(f, "more {what} than Nucleus looks through"),
            Self::Form(what) => write!(f, "{what} are not supported"),
        }
    }
}

/// A directory of objects of the user's.
#[derive(Debug)]
struct Place {
    objects: Tree,
    packs: Vec<Pack>,
}

/// Both sides' objects.
pub(super) struct Store<'a> {
    format: Format,
    result: &'a Tree,
    places: Vec<Place>,
    /// Objects that only the task's side has, each of them verified.
    new: BTreeMap<ObjectId, Kind>,
    trees: HashMap<ObjectId, Rc<Vec<Entry>>>,
    cached: usize,
}

impl<'a> Store<'a> {
    /// Opens the store of the repository at `root` (held as `host`) and what a task left in `result`.
    pub(super) fn open(
        host: &Tree,
        result: &'a Tree,
        root: &Path,
        format: Format,
    ) -> Result<Self, Unread> {
        let mut places = Vec::new();
        let mut waiting: Vec<(Tree, PathBuf)> = Vec::new();
        match host.beneath(&path("objects")) {
            Ok(objects) => waiting.push((objects, root.join("objects"))),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(Unread::Store(error)),
        }
        while let Some((objects, at)) = waiting.pop() {
            if places.len() >= limits::PLACES {
                return Err(Unread::Limit("alternate stores"));
            }
            // The user's own configuration: no task can change which stores it names.
            for line in text(&objects, "info/alternates").map_err(Unread::Store)?.lines() {
                let line = line.trim_end();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let other = at.join(line);
                waiting.push((Tree::open(&other).map_err(Unread::Store)?, other));
            }
            let packs = packs(&objects, format)?;
            places.push(Place { objects, packs });
        }
        let new = BTreeMap::new();
        Ok(Self { format, result, places, new, trees: HashMap::new(), cached: 0 })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Adds an object that was verified, unless the user has it too.
    pub(super) fn add(&mut self, id: ObjectId, kind: Kind) -> Result<(), Unread> {
        if !self.is_users(&id)? {
            self.new.insert(id, kind);
        }
        Ok(())
    }

    /// The commits that only the task's side has.
    pub(super) fn new_commits(&self) -> Vec<ObjectId> {
        self.new.iter().filter(|(_, kind)| **kind == Kind::Commit).map(|(id, _)| *id).collect()
    }

    pub(super) fn is_new(&self, id: &ObjectId) -> bool {
        self.new.contains_key(id)
    }

    fn is_users(&self, id: &ObjectId) -> Result<bool, Unread> {
        let broken = |error| Unread::Object(*id, error);
        for place in &self.places {
            if place.objects.stat(&loose_path(id)).map_err(broken)?.is_some() {
                return Ok(true);
            }
            for pack in &place.packs {
                if pack.find(id).map_err(broken)?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    pub(super) fn read(&self, id: &ObjectId) -> Result<(Kind, Vec<u8>), Unread> {
        self.find(id).map_err(|error| Unread::Object(*id, error))?.ok_or(Unread::Missing(*id))
    }

    fn find(&self, id: &ObjectId) -> io::Result<Option<(Kind, Vec<u8>)>> {
        let limit = limits::OBJECT_BYTES;
        if self.new.contains_key(id) {
            let place = path(&format!("objects/{}", loose_path(id)));
            return loose::read(self.result.file(&place)?, limit).map(Some);
        }
        for place in &self.places {
            for pack in &place.packs {
                if let Some(at) = pack.find(id)? {
                    return pack.read(at, limit).map(Some);
                }
            }
            match place.objects.file(&loose_path(id)) {
                Ok(file) => return loose::read(file, limit).map(Some),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn commit(&self, id: &ObjectId) -> Result<Commit, Unread> {
        match self.read(id)? {
            (Kind::Commit, content) => {
                Commit::parse(self.format, &content).ok_or(Unread::Kind(*id))
            }
            _ => Err(Unread::Kind(*id)),
        }
    }

    /// The object that one stands for: itself, or what a tag names.
    pub(super) fn peel(&self, id: &ObjectId) -> Result<(Kind, ObjectId), Unread> {
        let mut id = *id;
        for _ in 0..limits::TAGS_OF_TAGS {
            match self.read(&id)? {
                (Kind::Tag, content) => {
                    id = object::tagged(self.format, &content).ok_or(Unread::Kind(id))?;
                }
                (kind, _) => return Ok((kind, id)),
            }
        }
        Err(Unread::Limit("tags of tags"))
    }

    pub(super) fn tree(&mut self, id: &ObjectId) -> Result<Rc<Vec<Entry>>, Unread> {
        if let Some(tree) = self.trees.get(id) {
            return Ok(Rc::clone(tree));
        }
        let (Kind::Tree, content) = self.read(id)? else { return Err(Unread::Kind(*id)) };
        let entries = object::entries(self.format, &content).ok_or(Unread::Kind(*id))?;
        if self.cached > limits::CACHED_ENTRIES {
            self.trees.clear();
            self.cached = 0;
        }
        self.cached = self.cached.saturating_add(entries.len());
        let tree = Rc::new(entries);
        self.trees.insert(*id, Rc::clone(&tree));
        Ok(tree)
    }

    /// What a tree holds at a path.
    pub(super) fn at(&mut self, root: &ObjectId, path: &TreePath) -> Result<Option<Entry>, Unread> {
        let mut found: Option<Entry> = None;
        for name in path.names() {
            let tree = match &found {
                None => *root,
                Some(entry) if entry.is_directory() => entry.id,
                Some(_) => return Ok(None),
            };
            let tree = self.tree(&tree)?;
            found = tree.iter().find(|entry| entry.name() == name).cloned();
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }
}

/// The packs of a store that have an index.
fn packs(objects: &Tree, format: Format) -> Result<Vec<Pack>, Unread> {
    let dir = path("pack");
    let entries = match objects.entries(&dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Unread::Store(error)),
    };
    let mut packs = Vec::new();
    for entry in entries {
        let Some(stem) = entry.name.to_str().and_then(|name| name.strip_suffix(".idx")) else {
            continue;
        };
        if packs.len() >= limits::PACKS {
            return Err(Unread::Limit("packs"));
        }
        let index = objects.file(&dir.child(&entry.name)).map_err(Unread::Store)?;
        let data = match objects.file(&dir.child(format!("{stem}.pack").as_ref())) {
            Ok(data) => data,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(Unread::Store(error)),
        };
        match Pack::open(index, data, format) {
            Ok(pack) => packs.push(pack),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(Unread::Form("pack indexes of version 1"));
            }
            Err(error) => return Err(Unread::Store(error)),
        }
    }
    Ok(packs)
}

/// Where a store keeps an object by itself.
fn loose_path(id: &ObjectId) -> TreePath {
    let hex = id.to_string();
    let (fan, rest) = hex.split_at_checked(2).unwrap_or_default();
    path(&format!("{fan}/{rest}"))
}

/// At most `limit` bytes of a file; `None` when there is none.
pub(super) fn bytes(tree: &Tree, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match tree.file(&path(name)) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file of the user's, of a few lines; empty when there is none.
pub(super) fn text(tree: &Tree, name: &str) -> io::Result<String> {
    let bytes = bytes(tree, name, limits::TEXT_BYTES)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).unwrap_or_default()
}
