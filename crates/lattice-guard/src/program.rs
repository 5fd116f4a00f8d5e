//! Which program a command starts.

use serde::{Deserialize, Serialize};

/// Directories of a pod whose programs no pod can write.
const SYSTEM_DIRS: [&str; 6] = ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/"];

/// A program as the enforcement point found it, before anything is decided.
///
/// A rule that *allows* a program by its bare name means the program found under that name on the fixed search path,
/// never a file the agent wrote and called so. A rule that *blocks* means anything that goes by the name: as it was
/// asked for, as it was found, or behind a symlink.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResolvedProgram {
    found: String,
    real: String,
    agent_writable: bool,
}

impl ResolvedProgram {
    /// A program found at `found`, which after symlinks is `real`; both as seen inside the pod. `agent_writable` says
    /// that a pod could have written the file, as anything in the workspace or in `/tmp`.
    #[must_use]
    pub fn new(found: &str, real: &str, agent_writable: bool) -> Self {
        Self { found: found.to_owned(), real: real.to_owned(), agent_writable }
    }

    /// A program nobody looked up: a bare name is taken for the system's, a path outside the system's directories for
    /// the agent's.
    #[must_use]
    pub fn unresolved(argv0: &str) -> Self {
        let system = !argv0.contains('/') || SYSTEM_DIRS.iter().any(|dir| argv0.starts_with(dir));
        let climbs = argv0.split('/').any(|component| component == "..");
        Self::new(argv0, argv0, !system || climbs)
    }

    /// Where it was found.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// The file itself.
    #[must_use]
    pub fn real(&self) -> &str {
        &self.real
    }

    /// True if a pod could have written it.
    #[must_use]
    pub const fn agent_writable(&self) -> bool {
        self.agent_writable
    }

    /// The name it was found under.
    #[must_use]
    pub fn name(&self) -> &str {
        basename(&self.found)
    }

    /// True if a rule naming `program` surely means this one.
    pub(crate) fn is_surely(&self, program: &str) -> bool {
        if program.contains('/') {
            return !self.agent_writable && (program == self.found || program == self.real);
        }
        !self.agent_writable && program == self.name()
    }

    /// True if a rule naming `program` may mean this one.
    pub(crate) fn is_possibly(&self, program: &str) -> bool {
        let name = basename(program);
        name == self.name() || name == basename(&self.real)
    }
}

/// The part after the last slash.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_with_a_good_name_is_not_the_program() {
        let system = ResolvedProgram::new("/usr/bin/git", "/usr/bin/git", false);
        let planted = ResolvedProgram::new("/home/user/repo/git", "/home/user/repo/git", true);
        assert!(system.is_surely("git") && system.is_possibly("git"));
        assert!(!planted.is_surely("git"));
        assert!(planted.is_possibly("git"), "a block still means it");
        for argv0 in ["./git", "bin/git", "/tmp/git", "/usr/../tmp/git"] {
            assert!(!ResolvedProgram::unresolved(argv0).is_surely("git"), "{argv0}");
        }
        assert!(ResolvedProgram::unresolved("/usr/bin/git").is_surely("git"));
    }

    #[test]
    fn a_symlink_does_not_hide_a_program_from_a_block() {
        let linked = ResolvedProgram::new("/usr/bin/editor", "/usr/bin/bash", false);
        assert!(linked.is_possibly("bash"));
        assert!(!linked.is_surely("bash"));
        assert!(linked.is_surely("editor"));
    }

    #[test]
    fn a_rule_with_a_path_means_that_file() {
        let system = ResolvedProgram::new("/usr/bin/python3", "/usr/bin/python3.11", false);
        assert!(system.is_surely("/usr/bin/python3") && system.is_surely("/usr/bin/python3.11"));
        assert!(!system.is_surely("/usr/local/bin/python3"));
    }
}
