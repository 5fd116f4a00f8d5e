//! What the tests of the tools share: a workspace with a canary outside it, and a policy.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::bounds::{Bounds, Paths};
use super::error::ToolError;
use super::resolver::Resolver;
use crate::cancel::Cancel;
use crate::port::Workspace;
use crate::refusal::Refusal;

/// What must never be read.
pub(crate) const CANARY: &str = "canary-5f0c";

/// `ws` (the workspace), `ws-evil` (its sibling) and `outside`, both of which hold a canary.
pub(crate) struct Bench {
    _directory: TempDir,
    base: PathBuf,
    workspace: Workspace,
    cancel: Cancel,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().to_owned();
        for name in ["ws", "ws-evil", "outside"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        for name in ["ws-evil/secret", "outside/secret"] {
            fs::write(base.join(name), CANARY).unwrap();
        }
        let path = base.join("ws");
        let root = File::open(&path).unwrap().into();
        let workspace = Workspace { root, ids: None, path };
        Self { _directory: directory, base, workspace, cancel: Cancel::new() }
    }

    pub(crate) fn with_ids(mut self, ids: (u32, u32)) -> Self {
        self.workspace.ids = Some(ids);
        self
    }

    /// A host path beneath the workspace.
    pub(crate) fn ws(&self, name: &str) -> PathBuf {
        self.base.join("ws").join(name)
    }

    /// A host path beside the workspace.
    pub(crate) fn host(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// Makes a file with its directories.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.ws(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Makes a link.
    pub(crate) fn link(&self, name: &str, target: impl AsRef<Path>) -> &Self {
        std::os::unix::fs::symlink(target, self.ws(name)).unwrap();
        self
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.ws(name)).unwrap()
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    pub(crate) fn resolver(&self) -> Resolver<'_> {
        Resolver::new(&self.workspace)
    }

    pub(crate) fn bounds(&self) -> Bounds<'_> {
        Bounds::new(&self.cancel, Instant::now() + Duration::from_secs(60))
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Nothing outside was changed, and nothing was added there.
    pub(crate) fn assert_outside_untouched(&self) {
        for name in ["ws-evil", "outside"] {
            let names: Vec<_> = fs::read_dir(self.base.join(name))
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            assert_eq!(names, ["secret"], "{name}");
            assert_eq!(fs::read_to_string(self.base.join(name).join("secret")).unwrap(), CANARY);
        }
    }
}

/// Everything is allowed.
pub(crate) struct Open;

impl Paths for Open {
    fn admit(&self, _: &str) -> Result<(), ToolError> {
        Ok(())
    }

    fn visible(&self, _: &str) -> bool {
        true
    }
}

/// Names that end in one of these are withheld.
pub(crate) struct Withheld(pub(crate) &'static [&'static str]);

impl Withheld {
    fn holds(&self, real: &str) -> bool {
        self.0.iter().any(|end| real.ends_with(end))
    }
}

impl Paths for Withheld {
    fn admit(&self, real: &str) -> Result<(), ToolError> {
        if self.holds(real) {
            return Err(Refusal::new("deny.path.sensitive", "policy", "withheld").into());
        }
        Ok(())
    }

    fn visible(&self, real: &str) -> bool {
        !self.holds(real)
    }
}

/// The code of a failed call.
pub(crate) fn code<T>(result: Result<T, ToolError>) -> &'static str {
    result.err().map_or("done", |error| error.code())
}
