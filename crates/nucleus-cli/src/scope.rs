//! What a task works on when nothing is named: the repository around the directory one stands in.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// A workspace, and the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Its root.
    pub workspace: PathBuf,
    /// Where one stands, relative to it; empty at the root.
    pub within: String,
}

impl Scope {
    /// A directory as it was named.
    pub(crate) fn whole(workspace: PathBuf) -> Self {
        Self { workspace, within: String::new() }
    }

    /// The repository around `here`, as git finds it, or `here` itself. Never a home directory or what lies above one,
    /// and never a repository of somebody else: git would not trust it either.
    pub(crate) fn around(here: PathBuf, env: &Environment) -> Self {
        let home = env.home().ok().and_then(|home| std::fs::canonicalize(home).ok());
        let covers_home = |dir: &Path| home.as_ref().is_some_and(|home| home.starts_with(dir));
        let owner = |dir: &Path| std::fs::metadata(dir).map(|meta| (meta.uid(), meta.dev())).ok();
        let own = owner(&here);
        let root = here
            .ancestors()
            .take_while(|dir| owner(dir) == own && !covers_home(dir))
            .find(|dir| dir.join(".git").symlink_metadata().is_ok());
        let within = root.and_then(|root| here.strip_prefix(root).ok()).and_then(Path::to_str);
        match (root, within) {
            (Some(root), Some(within)) => {
                Self { workspace: root.to_path_buf(), within: within.to_owned() }
            }
            _ => Self::whole(here),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_around_is_found_and_a_home_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let deep = top.join("repo/a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let env = Environment::read();
        assert_eq!(Scope::around(deep.clone(), &env), Scope::whole(deep.clone()));
        std::fs::create_dir(top.join("repo/.git")).unwrap();
        let found = Scope::around(deep.clone(), &env);
        assert_eq!((found.workspace, found.within.as_str()), (top.join("repo"), "a/b"));
        let at_root = Scope::around(top.join("repo"), &env);
        assert_eq!(at_root, Scope::whole(top.join("repo")));
        // A home that is a repository (of settings, say) is no workspace.
        let env = env.with_home(&top.join("repo"));
        assert_eq!(Scope::around(deep.clone(), &env), Scope::whole(deep));
    }
}
