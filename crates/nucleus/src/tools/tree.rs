//! The walk `glob` and `grep` share: down from a directory, in the order of paths, following nothing.
//!
//! Ripgrep's own walker opens by path; this one opens every directory through the resolver by its real name, so
//! that a name that was judged is the name that is opened, and only borrows ripgrep's matchers. Ignore
//! files (`.gitignore`, `.ignore`, `.git/info/exclude`) hold as they do for ripgrep; the ones of the user's
//! home do not, because the workspace must look the same on every host. Directories of version control are
//! never entered.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{AtFlags, Dir, FileType};

use super::bounds::Bounds;
use super::error::ToolError;
use super::limits::{
    IGNORE_FILE_MAX_BYTES, IGNORE_RULES_MAX, WALK_DEPTH_MAX, WALK_DIRECTORY_MAX, WALK_ENTRIES_MAX,
};
use super::replace::WRITE_TEMP_PREFIX;
use super::resolver::{LIST, READ, Resolver};

const VERSION_CONTROL: &[&str] = &[".git", ".hg", ".jj", ".svn"];
const IGNORE_FILES: &[&str] = &[".ignore", ".gitignore"];
const GIT_EXCLUDE: &str = ".git/info/exclude";

/// One name the walk came to.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// Name beneath the workspace.
    pub(crate) real: &'a str,
    /// Name beneath the directory the walk began in.
    pub(crate) below: &'a str,
    /// A symbolic link, not a file.
    pub(crate) link: bool,
}

/// Whether to walk on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the next name.
    On,
    /// No further.
    Stop,
}

/// What the walk passed over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Names an ignore file hides.
    pub(crate) ignored: u64,
    /// Directories that could not be read, were too deep or too large, and names that are no UTF-8.
    pub(crate) unreadable: u64,
    /// The walk looked at as many names as it may.
    pub(crate) exhausted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Directory,
    File,
    Link,
}

struct Level {
    real: String,
    entries: std::vec::IntoIter<(String, Sort)>,
    ignores: Vec<Gitignore>,
}

/// Walks down from the directory at the real name `start`, already open as `directory`.
pub(crate) fn walk(
    resolver: &Resolver<'_>,
    start: &str,
    directory: &OwnedFd,
    bounds: &Bounds<'_>,
    visit: &mut dyn FnMut(&Seen<'_>) -> Result<Flow, ToolError>,
) -> Result<Skipped, ToolError> {
    let mut skipped = Skipped::default();
    let above = ignores_above(resolver, start);
    let mut levels = vec![level(resolver, start.to_owned(), directory, &mut skipped)];
    let mut count: u64 = 0;
    while let Some(top) = levels.last_mut() {
        let Some((name, sort)) = top.entries.next() else {
            levels.pop();
            continue;
        };
        bounds.go_on()?;
        count = count.saturating_add(1);
        if count > WALK_ENTRIES_MAX {
            skipped.exhausted = true;
            break;
        }
        let real = join(&top.real, &name);
        let inner = levels.iter().rev().flat_map(|level| &level.ignores);
        if hidden(inner.chain(&above), &real, sort == Sort::Directory) {
            skipped.ignored = skipped.ignored.saturating_add(1);
            continue;
        }
        if sort != Sort::Directory {
            let below = below(start, &real);
            if visit(&Seen { real: &real, below, link: sort == Sort::Link })? == Flow::Stop {
                break;
            }
            continue;
        }
        let opened =
            if levels.len() < WALK_DEPTH_MAX { resolver.open_real(&real, LIST) } else { Ok(None) };
        match opened {
            Ok(Some(fd)) => levels.push(level(resolver, real, &fd, &mut skipped)),
            Ok(None) | Err(_) => skipped.unreadable = skipped.unreadable.saturating_add(1),
        }
    }
    Ok(skipped)
}

fn level(resolver: &Resolver<'_>, real: String, fd: &OwnedFd, skipped: &mut Skipped) -> Level {
    let (names, lost) = entries(fd);
    skipped.unreadable = skipped.unreadable.saturating_add(lost);
    let present =
        |name: &&&str| names.iter().any(|(one, sort)| one == **name && *sort == Sort::File);
    let ignores = IGNORE_FILES
        .iter()
        .filter(present)
        .filter_map(|name| ignore_file(resolver, &real, &join(&real, name)))
        .collect();
    Level { real, entries: names.into_iter(), ignores }
}

/// The names in a directory in the order of the paths below it, and how many could not be given.
fn entries(fd: &OwnedFd) -> (Vec<(String, Sort)>, u64) {
    let Ok(directory) = Dir::read_from(fd) else { return (Vec::new(), 1) };
    let mut names = Vec::new();
    let mut lost: u64 = 0;
    for entry in directory {
        let Ok(entry) = entry else {
            lost = lost.saturating_add(1);
            break;
        };
        let Ok(name) = entry.file_name().to_str() else {
            lost = lost.saturating_add(1);
            continue;
        };
        if name == "."
            || name == ".."
            || name.starts_with(WRITE_TEMP_PREFIX)
            || VERSION_CONTROL.contains(&name)
        {
            continue;
        }
        if names.len() >= WALK_DIRECTORY_MAX {
            lost = lost.saturating_add(1);
            break;
        }
        if let Some(sort) = sort(fd, name, entry.file_type()) {
            names.push((name.to_owned(), sort));
        }
    }
    let key = |(name, sort): &(String, Sort)| match sort {
        Sort::Directory => format!("{name}/"),
        _ => name.clone(),
    };
    names.sort_by_cached_key(key);
    (names, lost)
}

/// What a name is; `None` for pipes, sockets, devices and what is gone.
fn sort(fd: &OwnedFd, name: &str, told: FileType) -> Option<Sort> {
    let kind = match told {
        FileType::Unknown => {
            let stat = rustix::fs::statat(fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            FileType::from_raw_mode(stat.st_mode)
        }
        told => told,
    };
    match kind {
        FileType::Directory => Some(Sort::Directory),
        FileType::RegularFile => Some(Sort::File),
        FileType::Symlink => Some(Sort::Link),
        _ => None,
    }
}

/// The rules that hold for `start` from the directories above it, innermost first, and git's exclude file last.
fn ignores_above(resolver: &Resolver<'_>, start: &str) -> Vec<Gitignore> {
    let mut rules = Vec::new();
    let mut above = start;
    while !above.is_empty() {
        above = above.rsplit_once('/').map_or("", |(parent, _)| parent);
        let here =
            IGNORE_FILES.iter().filter_map(|name| ignore_file(resolver, above, &join(above, name)));
        rules.extend(here);
    }
    rules.extend(ignore_file(resolver, "", GIT_EXCLUDE));
    rules
}

/// One ignore file, if it is a regular file of tolerable size. What is wrong in it is passed over, as git does.
fn ignore_file(resolver: &Resolver<'_>, directory: &str, real: &str) -> Option<Gitignore> {
    let fd = resolver.open_real(real, READ).ok()??;
    let stat = rustix::fs::fstat(&fd).ok()?;
    let size = u64::try_from(stat.st_size).ok()?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() || size > IGNORE_FILE_MAX_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(fd).take(IGNORE_FILE_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut builder = GitignoreBuilder::new(directory);
    for line in text.trim_start_matches('\u{feff}').lines().take(IGNORE_RULES_MAX) {
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

/// The innermost rule that says anything decides.
fn hidden<'g>(rules: impl Iterator<Item = &'g Gitignore>, real: &str, directory: bool) -> bool {
    for rule in rules {
        match rule.matched(real, directory) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
    }
    false
}

pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

fn below<'a>(start: &str, real: &'a str) -> &'a str {
    if start.is_empty() {
        return real;
    }
    real.strip_prefix(start).and_then(|rest| rest.strip_prefix('/')).unwrap_or(real)
}
