//! A git worktree or submodule: its `.git` is a file that names a place in a repository elsewhere.
//!
//! Whoever writes a workspace can write such a file, so it is believed only when the place named points back at it,
//! which git itself writes and no task can. What pods get of the repository is read-only.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::git;
use super::limits::GIT_CONFIG_BYTES;
use super::mask::{MaskPolicy, scrub};
use super::path::TreePath;
use super::tree::Tree;
use crate::toolchain::RoBind;

/// Longest file of links read.
const LINK_BYTES: u64 = 8192;
/// What git needs of a repository to show states, differences and history; nothing of it is run.
const PARTS: [(&str, bool); 5] = [
    ("HEAD", false),
    ("objects", true),
    ("packed-refs", false),
    ("refs", true),
    ("shallow", false),
];

/// The repository behind a worktree or submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The directory that all worktrees share; a submodule's own.
    pub common: PathBuf,
    /// This worktree's own place in it; the same for a submodule.
    pub own: PathBuf,
}

/// What the `.git` of a workspace names outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Link {
    /// A worktree whose repository points back.
    Worktree(Repository),
    /// A submodule whose repository, among those of the project around it, points back.
    Submodule(Repository),
    /// A link that nothing confirms.
    Unconfirmed,
}

/// Reads the `.git` of a workspace, when it is a file.
#[must_use]
pub fn link(workspace: &Path) -> Option<Link> {
    let file = workspace.join(".git");
    let metadata = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file)?;
    Some(confirmed(workspace, &file, metadata.uid()).unwrap_or(Link::Unconfirmed))
}

fn confirmed(workspace: &Path, file: &Path, owner: u32) -> Option<Link> {
    let text = read(file, LINK_BYTES).ok()?;
    let named = Path::new(text.trim_end().strip_prefix("gitdir: ")?);
    let own = fs::canonicalize(workspace.join(named)).ok()?;
    match fs::symlink_metadata(own.join("commondir")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            submodule(workspace, own, owner).map(Link::Submodule)
        }
        _ => worktree(file, own, owner).map(Link::Worktree),
    }
}

/// Whether this is the place of the submodule `workspace` in a project around it: its configuration, which is held
/// whenever a task changes it, names the working tree.
fn submodule(workspace: &Path, own: PathBuf, owner: u32) -> Option<Repository> {
    let config = read(&own.join("config"), GIT_CONFIG_BYTES).ok()?;
    let tree = own.join(git::worktree_of(&config)?);
    let points_back = fs::canonicalize(tree).ok()? == workspace;
    let is_dir = |meta: &fs::Metadata| meta.is_dir() && meta.uid() == owner;
    let same_owner = fs::symlink_metadata(&own).is_ok_and(|meta| is_dir(&meta));
    let mut around = workspace.ancestors().skip(1);
    let within = around.any(|project| own.starts_with(project.join(".git/modules")));
    (points_back && same_owner && within).then(|| Repository { common: own.clone(), own })
}

fn worktree(file: &Path, own: PathBuf, owner: u32) -> Option<Repository> {
    let back = read(&own.join("gitdir"), LINK_BYTES).ok()?;
    let points_back = fs::canonicalize(own.join(back.trim_end())).ok()? == *file;
    let common = read(&own.join("commondir"), LINK_BYTES).ok()?;
    let common = fs::canonicalize(own.join(common.trim_end())).ok()?;
    let same_owner = fs::metadata(&common).is_ok_and(|meta| meta.is_dir() && meta.uid() == owner);
    let within = own.parent() == Some(&common.join("worktrees"));
    (points_back && same_owner && within).then_some(Repository { common, own })
}

impl Repository {
    /// What pods see of the repository, at its own path; as copies in `session_dir` its configuration, without
    /// credentials, and its index, which keeps git off what `masks` withhold.
    ///
    /// # Errors
    /// The copies cannot be written.
    pub fn binds(&self, session_dir: &Path, masks: &MaskPolicy) -> io::Result<Vec<RoBind>> {
        let mut binds = Vec::new();
        for (name, directory) in PARTS {
            let path = self.common.join(name);
            let there = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir() == directory);
            if there {
                binds.push(RoBind { host: path.clone(), inside: path, directory });
            }
        }
        let mut configs = vec![self.common.join("config")];
        if self.own != self.common {
            let own = self.own.clone();
            binds.push(RoBind { host: own.clone(), inside: own.clone(), directory: true });
            for entry in fs::read_dir(&own)? {
                let entry = entry?;
                let named = entry.file_name().as_bytes().starts_with(b"config");
                if named && entry.file_type()?.is_file() {
                    configs.push(entry.path());
                }
            }
        }
        let dir = session_dir.join("worktree");
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for (number, config) in configs.into_iter().enumerate() {
            let text = read(&config, GIT_CONFIG_BYTES).unwrap_or_default();
            // One that cannot be read as text becomes empty.
            let clean = scrub(&text).unwrap_or(text);
            binds.push(copied(dir.join(format!("config-{number}")), clean.as_bytes(), config)?);
        }
        if let Some(index) = self.index(masks)? {
            binds.push(copied(dir.join("index"), &index, self.own.join("index"))?);
        }
        Ok(binds)
    }

    /// The index as pods get it; `None` where the one that is there will do.
    fn index(&self, masks: &MaskPolicy) -> io::Result<Option<Vec<u8>>> {
        let tree = Tree::open(&self.own)?;
        let path = TreePath::parse(b"index").unwrap_or_default();
        let withheld = |name: &[u8]| {
            let name = String::from_utf8_lossy(name);
            let above = name.match_indices('/').map(|(at, _)| at);
            above
                .chain([name.len()])
                .any(|end| name.get(..end).and_then(|p| masks.judge(p)).is_some())
        };
        match git::shaded(&tree, &path, &withheld)? {
            Some(index) => Ok(Some(index)),
            // Of a submodule nothing is shown that is not named.
            None if self.own == self.common => git::read(&tree, &path),
            None => Ok(None),
        }
    }
}

/// A file of the session in the place of another.
fn copied(copy: PathBuf, bytes: &[u8], inside: PathBuf) -> io::Result<RoBind> {
    let mut file =
        fs::File::options().write(true).create(true).truncate(true).mode(0o644).open(&copy)?;
    io::Write::write_all(&mut file, bytes)?;
    Ok(RoBind { host: copy, inside, directory: false })
}

fn read(path: &Path, bytes_max: u64) -> io::Result<String> {
    let flags = i32::try_from((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits());
    let file = fs::File::options().read(true).custom_flags(flags.unwrap_or(0)).open(path)?;
    let mut text = String::new();
    file.take(bytes_max).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(top: &Path) -> (PathBuf, PathBuf) {
        let (common, tree) = (top.join("main/.git"), top.join("tree"));
        fs::create_dir_all(common.join("worktrees/tree")).unwrap();
        fs::create_dir_all(common.join("objects")).unwrap();
        fs::create_dir_all(&tree).unwrap();
        fs::write(common.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(
            common.join("config"),
            "[remote \"origin\"]\n\turl = https://user:secret@example.com/x\n",
        )
        .unwrap();
        let own = common.join("worktrees/tree");
        fs::write(own.join("gitdir"), format!("{}\n", tree.join(".git").display())).unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        (common, tree)
    }

    #[test]
    fn a_worktree_is_believed_when_its_repository_points_back() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (common, tree) = repository(&top);
        assert_eq!(
            link(&tree),
            Some(Link::Worktree(Repository {
                common: common.clone(),
                own: common.join("worktrees/tree")
            }))
        );
        // Another directory that claims the same place.
        let other = top.join("other");
        fs::create_dir(&other).unwrap();
        fs::copy(tree.join(".git"), other.join(".git")).unwrap();
        assert_eq!(link(&other), Some(Link::Unconfirmed));
        assert_eq!(link(&top.join("main")), None, "a directory is no link");
    }

    #[test]
    fn pods_get_no_credential_and_no_hook() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (common, tree) = repository(&top);
        fs::create_dir(common.join("hooks")).unwrap();
        let header =
            "[http]\n\textraheader = AUTHORIZATION: basic secret\n[core]\n\tbare = false\n";
        fs::write(common.join("worktrees/tree/config.worktree"), header).unwrap();
        let Some(Link::Worktree(worktree)) = link(&tree) else { panic!("no worktree") };
        let binds = worktree.binds(&top, &MaskPolicy::none()).unwrap();
        let inside: Vec<String> = binds
            .iter()
            .map(|b| b.inside.strip_prefix(&common).unwrap().display().to_string())
            .collect();
        let own = "worktrees/tree/config.worktree";
        assert_eq!(inside, ["HEAD", "objects", "worktrees/tree", "config", own]);
        for (bind, kept) in binds.iter().rev().zip(["bare = false", "example.com"]) {
            let config = fs::read_to_string(&bind.host).unwrap();
            assert!(config.contains(kept) && !config.contains("secret"), "{config}");
        }
    }

    fn submodule(top: &Path) -> (PathBuf, PathBuf) {
        let (own, tree) = (top.join("main/.git/modules/libs/sub"), top.join("main/sub"));
        fs::create_dir_all(own.join("objects")).unwrap();
        fs::create_dir_all(own.join("hooks")).unwrap();
        fs::create_dir_all(&tree).unwrap();
        for file in ["HEAD", "index", "description"] {
            fs::write(own.join(file), "ref: refs/heads/main\n").unwrap();
        }
        let config =
            "[core]\n\tworktree = ../../../../sub\n[remote \"o\"]\n\turl = https://u:secret@h/x\n";
        fs::write(own.join("config"), config).unwrap();
        fs::write(tree.join(".git"), "gitdir: ../.git/modules/libs/sub\n").unwrap();
        (own, tree)
    }

    #[test]
    fn a_submodule_is_believed_when_its_repository_points_back() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (own, tree) = submodule(&top);
        let Some(Link::Submodule(found)) = link(&tree) else { panic!("no submodule") };
        let inside: Vec<String> = found
            .binds(&top, &MaskPolicy::none())
            .unwrap()
            .iter()
            .map(|b| b.inside.strip_prefix(&own).unwrap().display().to_string())
            .collect();
        assert_eq!(inside, ["HEAD", "objects", "config", "index"], "no hook");
        assert!(!fs::read_to_string(top.join("worktree/config-0")).unwrap().contains("secret"));
        // Another directory that names the same place, from within the project and from outside.
        for other in ["main/other", "other"] {
            let other = top.join(other);
            fs::create_dir(&other).unwrap();
            fs::write(other.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
            assert_eq!(link(&other), Some(Link::Unconfirmed), "{}", other.display());
        }
        // A directory that says it is one, and lies among no project's submodules.
        let fake = top.join("fake");
        fs::create_dir(&fake).unwrap();
        fs::write(fake.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(fake.join("config"), format!("[core]\n\tworktree = {}\n", tree.display()))
            .unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", fake.display())).unwrap();
        assert_eq!(link(&tree), Some(Link::Unconfirmed));
    }
}
