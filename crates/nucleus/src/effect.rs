//! What the act room hands to a tool, and what it gets back.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use lattice_guard::RelPath;
use nucleus_wire::tool::ToolCall;
use serde_json::Value;

use crate::approved::Written;
use crate::cancel::Cancel;
use crate::ending::CommandEnding;
use crate::jobs::{JobId, Jobs};
use crate::port::{Exit, Progress, RunSpec, Runner, Workspace};
use crate::refusal::Refusal;
use crate::result::Image;

/// Permission to do one effect: its intent is in the log. Made by the record room only, used once.
#[derive(Debug)]
#[must_use = "an intent without its effect"]
pub(crate) struct Warrant {
    pub(crate) call: ToolCall,
}

impl Warrant {
    /// The call to perform.
    #[must_use]
    pub(crate) fn call(&self) -> &ToolCall {
        &self.call
    }

    /// The only way to a [`RunSpec`]. `cwd` is workspace-relative, empty = the root; `stdin` a sealed memory file.
    #[must_use]
    pub(crate) fn run_spec(
        &self,
        argv: Vec<String>,
        env: Vec<(String, String)>,
        cwd: String,
        stdin: Option<OwnedFd>,
    ) -> RunSpec {
        RunSpec { argv, env, cwd, stdin }
    }
}

/// What an effect may touch.
pub(crate) struct EffectContext<'a> {
    /// The merged tree of the task.
    pub(crate) workspace: &'a Workspace,
    /// Pods.
    pub(crate) runner: &'a Arc<dyn Runner>,
    /// Commands in the background.
    pub(crate) jobs: &'a Arc<Jobs>,
    /// The policy of this call on paths after resolution.
    pub(crate) paths: &'a dyn PathGuard,
    /// Set when the client takes the call back.
    pub(crate) cancel: &'a Cancel,
    /// Whoever waits.
    pub(crate) progress: &'a dyn Progress,
    /// Hard end of a call about files; one about a command waits as long as it says.
    pub(crate) deadline: Instant,
}

/// The policy of one call on paths, asked with names after resolution.
pub(crate) trait PathGuard: Sync {
    /// May this call act on the file that really is `path`?
    ///
    /// # Errors
    /// The refusal to answer with.
    fn admit(&self, path: &RelPath) -> Result<(), Refusal>;

    /// May this path appear among the results of a search?
    fn visible(&self, path: &RelPath) -> bool;
}

/// What a tool did.
#[derive(Debug, Default)]
pub(crate) struct EffectReport {
    /// Body for the agent: content, listing, output.
    pub(crate) text: String,
    /// A picture that was asked for.
    pub(crate) image: Option<Image>,
    /// The same as data, for clients that take structured results.
    pub(crate) structured: Option<Value>,
    /// The call did not do what it was asked for (a command that exits with a status is no error).
    pub(crate) is_error: bool,
    /// A few words for the feed: `exit 0`, `3 matches`, `1.2 KiB`.
    pub(crate) detail: String,
    /// Bytes read, written or put out.
    pub(crate) bytes: u64,
    /// The file that was written.
    pub(crate) written: Option<Written>,
    /// Matches or paths found.
    pub(crate) results: u64,
    /// Why the command it is about is over.
    pub(crate) ending: Option<CommandEnding>,
    /// Status of that command.
    pub(crate) exit: Option<Exit>,
    /// Something was left out of `text`.
    pub(crate) truncated: bool,
    /// The command goes on under this id.
    pub(crate) job: Option<JobId>,
}
