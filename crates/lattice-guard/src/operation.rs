//! What an agent can ask for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One kind of side effect or read. Closed: a new operation is a new law to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Read a file of the workspace.
    ReadFiles,
    /// Create or replace a file.
    WriteFiles,
    /// Change part of a file.
    EditFiles,
    /// Run a program.
    RunBash,
    /// List files by name pattern.
    GlobSearch,
    /// Search file contents.
    GrepSearch,
    /// Query a search engine.
    WebSearch,
    /// Fetch a URL.
    WebFetch,
    /// Record changes in the local repository.
    GitCommit,
    /// Send commits to a remote.
    GitPush,
    /// Open or change a pull request.
    CreatePr,
    /// Create or stop pods.
    ManagePods,
    /// Start another agent.
    SpawnAgent,
}

impl Operation {
    /// All operations, in the order files and tables list them.
    pub const ALL: [Self; 13] = [
        Self::ReadFiles,
        Self::WriteFiles,
        Self::EditFiles,
        Self::RunBash,
        Self::GlobSearch,
        Self::GrepSearch,
        Self::WebSearch,
        Self::WebFetch,
        Self::GitCommit,
        Self::GitPush,
        Self::CreatePr,
        Self::ManagePods,
        Self::SpawnAgent,
    ];

    /// The name used in policy files, logs and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadFiles => "read_files",
            Self::WriteFiles => "write_files",
            Self::EditFiles => "edit_files",
            Self::RunBash => "run_bash",
            Self::GlobSearch => "glob_search",
            Self::GrepSearch => "grep_search",
            Self::WebSearch => "web_search",
            Self::WebFetch => "web_fetch",
            Self::GitCommit => "git_commit",
            Self::GitPush => "git_push",
            Self::CreatePr => "create_pr",
            Self::ManagePods => "manage_pods",
            Self::SpawnAgent => "spawn_agent",
        }
    }

    /// How specific the operation is, for naming one of several: a command that pushes is `git_push` rather than
    /// `run_bash`. Higher is more specific.
    pub(crate) const fn specificity(self) -> u8 {
        match self {
            Self::GitPush => 3,
            Self::CreatePr => 2,
            Self::GitCommit => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|operation| operation.name() == text).ok_or(UnknownOperation)
    }
}

/// The text is not the name of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownOperation;

impl fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown operation")
    }
}

impl std::error::Error for UnknownOperation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_agree_with_serde() {
        for operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(operation));
            let json = serde_json::to_string(&operation).unwrap();
            assert_eq!(json, format!("\"{}\"", operation.name()));
        }
        assert_eq!("run".parse::<Operation>(), Err(UnknownOperation));
        assert_eq!("READ_FILES".parse::<Operation>(), Err(UnknownOperation));
    }
}
