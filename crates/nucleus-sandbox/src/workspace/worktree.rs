//! A git worktree: its `.git` is a file that names a place in a repository elsewhere.
//!
//! Whoever writes a workspace can write such a file, so it is believed only when the place named points back at it,
//! which git itself writes and no task can. What pods get of the repository is read-only.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::limits::GIT_CONFIG_BYTES;
use super::mask::scrub;
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

/// The repository behind a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// The directory that all worktrees share.
    pub common: PathBuf,
    /// This worktree's own place in it.
    pub own: PathBuf,
}

/// What the `.git` of a workspace names outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Link {
    /// A worktree whose repository points back.
    Worktree(Worktree),
    /// Something else: a submodule, or a link that nothing confirms.
    Unconfirmed,
}

/// Reads the `.git` of a workspace, when it is a file.
#[must_use]
pub fn link(workspace: &Path) -> Option<Link> {
    let file = workspace.join(".git");
    let metadata = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file)?;
    Some(confirmed(&file, metadata.uid()).map_or(Link::Unconfirmed, Link::Worktree))
}

fn confirmed(file: &Path, owner: u32) -> Option<Worktree> {
    let text = read(file, LINK_BYTES).ok()?;
    let named = Path::new(text.trim_end().strip_prefix("gitdir: ")?);
    let own = fs::canonicalize(file.parent()?.join(named)).ok()?;
    let back = read(&own.join("gitdir"), LINK_BYTES).ok()?;
    let points_back = fs::canonicalize(own.join(back.trim_end())).ok()? == *file;
    let common = read(&own.join("commondir"), LINK_BYTES).ok()?;
    let common = fs::canonicalize(own.join(common.trim_end())).ok()?;
    let same_owner = fs::metadata(&common).is_ok_and(|meta| meta.is_dir() && meta.uid() == owner);
    let within = own.parent() == Some(&common.join("worktrees"));
    (points_back && same_owner && within).then_some(Worktree { common, own })
}

impl Worktree {
    /// What pods see of the repository, at its own path; its configuration without credentials, as a copy in
    /// `session_dir`.
    ///
    /// # Errors
    /// The copy cannot be written.
    pub fn binds(&self, session_dir: &Path) -> io::Result<Vec<RoBind>> {
        let mut binds = Vec::new();
        for (name, directory) in PARTS {
            let path = self.common.join(name);
            let there = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir() == directory);
            if there {
                binds.push(RoBind { host: path.clone(), inside: path, directory });
            }
        }
        let own = self.own.clone();
        binds.push(RoBind { host: own.clone(), inside: own.clone(), directory: true });
        let dir = session_dir.join("worktree");
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut configs = vec![self.common.join("config")];
        for entry in fs::read_dir(&own)? {
            let entry = entry?;
            if entry.file_name().as_bytes().starts_with(b"config") && entry.file_type()?.is_file() {
                configs.push(entry.path());
            }
        }
        for (index, config) in configs.into_iter().enumerate() {
            let copy = dir.join(format!("config-{index}"));
            binds.push(RoBind { host: scrubbed(&config, copy)?, inside: config, directory: false });
        }
        Ok(binds)
    }
}

/// Writes a configuration without its credentials; one that cannot be read as text becomes empty.
fn scrubbed(config: &Path, copy: PathBuf) -> io::Result<PathBuf> {
    let text = read(config, GIT_CONFIG_BYTES).unwrap_or_default();
    let mut file =
        fs::File::options().write(true).create(true).truncate(true).mode(0o644).open(&copy)?;
    io::Write::write_all(&mut file, scrub(&text).as_ref().unwrap_or(&text).as_bytes())?;
    Ok(copy)
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
            Some(Link::Worktree(Worktree {
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
        let binds = worktree.binds(&top).unwrap();
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
}
