//! Who runs a test: root, or a user without any privilege.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Uid and gid of the unprivileged account; it needs no entry in the password file.
const UNPRIVILEGED: u32 = 20_000;

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Root, when the tests run as root.
    Root,
    /// An unprivileged user: another one when the tests run as root, else whoever runs them.
    Rootless,
}

impl Account {
    /// The accounts a test can be run as here.
    #[must_use]
    pub fn all() -> Vec<Self> {
        if is_root() { vec![Self::Root, Self::Rootless] } else { vec![Self::Rootless] }
    }

    /// Ids to give files away to, when this account is not the one running the tests.
    #[must_use]
    pub fn other_ids(self) -> Option<(u32, u32)> {
        (self == Self::Rootless && is_root()).then_some((UNPRIVILEGED, UNPRIVILEGED))
    }

    /// `program`, to be run as this account.
    #[must_use]
    pub fn command(self, program: &Path) -> Command {
        match self.other_ids() {
            None => Command::new(program),
            Some((uid, gid)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        }
    }

    /// A directory of programs this account can reach: `bins` itself, or a copy beneath `place`.
    pub(super) fn reachable(self, bins: &Path, place: &Path) -> PathBuf {
        let open = bins.ancestors().all(|dir| {
            std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o005 == 0o005)
        });
        if self.other_ids().is_none() || open {
            return bins.to_path_buf();
        }
        let copy = place.join("bin");
        std::fs::create_dir(&copy).expect("a directory");
        for name in [
            "nucleus",
            "nucleus-tool-proxy",
            "nucleus-mcp",
            "nucleus-audit",
            "nucleus-scripted-agent",
        ] {
            std::fs::copy(bins.join(name), copy.join(name)).expect("a copy of a program");
        }
        copy
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}
