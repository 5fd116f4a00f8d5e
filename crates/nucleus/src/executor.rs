//! The enforcement point: every effect of a task goes through one of these.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use lattice_guard::{
    Classifier, CostModel, Envelope, GateMode, GrantAuthority, Level, Operation, Permissions,
};
use nucleus_wire::control::ApprovalMode;
use nucleus_wire::tool::{ToolArgError, ToolCall, ToolName, WorkspaceRoot};
use serde_json::Value;

use crate::budget::AtomicBudget;
use crate::caller::{Caller, Channel, Principal};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::ExecutorError;
use crate::port::{Exit, NoProgress, Progress};
use crate::result::{Ending, ToolResult};
use crate::room::{Asked, Denied, NotRecorded, OwnTools, Parsed, Recorded, Ruling};
use crate::sandbox::Sandbox;

/// Runs calls under one policy, in one sandbox, from one budget. Cheap to clone and shared by every thread that serves
/// the task; each call blocks its thread until it is settled.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
    /// Where the client's own tools act, if it asks about them here.
    own_tools: Option<OwnTools>,
}

struct Inner {
    sandbox: Sandbox,
    budget: AtomicBudget,
    envelope: Envelope,
    authority: GrantAuthority,
    policy_digest: Digest,
    costs: CostModel,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// Its output, both streams, bounded.
    pub text: String,
    /// How it ended; absent when it goes on in the background.
    pub exit: Option<Exit>,
    /// Output was left out.
    pub truncated: bool,
    /// Id of the job when it goes on in the background.
    pub job: Option<String>,
}

impl Executor {
    /// An executor for `policy` with the default classifier and the static gate, computed from `policy` itself.
    #[must_use]
    pub fn new(policy: &Permissions, sandbox: &Sandbox, budget: &AtomicBudget) -> Self {
        let (envelope, authority) =
            Envelope::new(policy.clone(), Classifier::default(), GateMode::Static);
        Self::with_envelope(envelope, authority, sandbox, budget)
    }

    /// An executor for an envelope whose gate was computed earlier, from what the operator allowed before anything
    /// tightened it. `authority` must be the one made with that envelope.
    #[must_use]
    pub fn with_envelope(
        envelope: Envelope,
        authority: GrantAuthority,
        sandbox: &Sandbox,
        budget: &AtomicBudget,
    ) -> Self {
        let policy_digest = policy_digest(&envelope);
        Self {
            inner: Arc::new(Inner {
                sandbox: sandbox.clone(),
                budget: budget.clone(),
                envelope,
                authority,
                policy_digest,
                costs: CostModel::default(),
            }),
            own_tools: None,
        }
    }

    /// The same for a Claude Code that asks about its own tools, which act there (`permission_prompt`). Nobody else is
    /// offered that, and whoever calls it all the same is refused.
    #[must_use]
    pub fn answering_prompts(self, own_tools: OwnTools) -> Self {
        Self { own_tools: Some(own_tools), ..self }
    }

    /// Runs one command line to its end, as the embedding program.
    ///
    /// # Errors
    /// [`ExecutorError`]; unless it is `Failed`, nothing was run.
    pub fn run(&self, command: &str) -> Result<RunOutput, ExecutorError> {
        let arguments = serde_json::json!({ "command": command });
        let caller = Caller::new(Channel::Embedded, Principal::embedded());
        let parsed = self.parse(ToolName::Run.as_str(), &arguments)?;
        let result = self.drive(parsed, &caller, &Cancel::new(), &NoProgress);
        match result.ending {
            Ending::Done { exit, truncated, job, .. } => {
                Ok(RunOutput { text: result.text, exit, truncated, job })
            }
            Ending::ApprovalRequired { operation, .. } => {
                Err(ExecutorError::ApprovalRequired { operation })
            }
            Ending::Denied(refusal) => Err(ExecutorError::Denied(refusal)),
            Ending::Failed { code } | Ending::Malformed { code } => {
                Err(ExecutorError::Failed { code, text: result.text })
            }
        }
    }

    /// Serves one call of an agent: the name and arguments as they came through `caller`'s channel. Once its intent is
    /// recorded the call is seen through to its outcome, whoever is still listening.
    #[must_use]
    pub fn serve(
        &self,
        name: &str,
        arguments: &Value,
        caller: &Caller,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> ToolResult {
        match self.parse(name, arguments) {
            Ok(parsed) => self.drive(parsed, caller, cancel, progress),
            Err(error) => {
                self.malformed_call(caller, name, arguments, &error);
                ToolResult {
                    text: error.agent_text(),
                    image: None,
                    structured: None,
                    ending: Ending::Malformed { code: error.code() },
                }
            }
        }
    }

    /// As [`Executor::serve`], for a call that is a type already.
    #[must_use]
    pub fn call(
        &self,
        call: ToolCall,
        caller: &Caller,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> ToolResult {
        self.drive(Parsed::from_call(call), caller, cancel, progress)
    }

    /// The tools to list: those the policy does not rule out altogether. A tool that is not listed is refused all the
    /// same when it is called.
    #[must_use]
    pub fn tools(&self) -> BTreeSet<ToolName> {
        let levels = &self.inner.envelope.permissions().levels;
        let open = |operation: Operation| levels.get(operation) > Level::Never;
        ToolName::ALL
            .into_iter()
            .filter(|tool| match tool {
                ToolName::Read => open(Operation::ReadFiles),
                ToolName::Write => open(Operation::WriteFiles),
                ToolName::Edit => open(Operation::EditFiles),
                ToolName::Glob => open(Operation::GlobSearch),
                ToolName::Grep => open(Operation::GrepSearch),
                ToolName::Run | ToolName::JobOutput | ToolName::JobStop => open(Operation::RunBash),
                ToolName::ApprovalsStatus => {
                    self.sandbox().approvals().mode() != ApprovalMode::None
                }
                ToolName::PermissionPrompt => self.own_tools.is_some(),
            })
            .collect()
    }

    /// The world this executor acts in.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.inner.sandbox
    }

    /// What it spends from.
    #[must_use]
    pub fn budget(&self) -> &AtomicBudget {
        &self.inner.budget
    }

    /// What it enforces.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.inner.envelope
    }

    /// SHA-256 of the effective policy: permissions, classifier data and gate.
    #[must_use]
    pub fn policy_digest(&self) -> Digest {
        self.inner.policy_digest
    }

    /// What effects cost.
    #[must_use]
    pub fn costs(&self) -> &CostModel {
        &self.inner.costs
    }

    pub(crate) fn own_tools(&self) -> Option<OwnTools> {
        self.own_tools
    }

    pub(crate) fn authority(&self) -> &GrantAuthority {
        &self.inner.authority
    }

    fn parse(&self, name: &str, arguments: &Value) -> Result<Parsed, ToolArgError> {
        let inside = inside(&self.sandbox().inner.workspace.path);
        Parsed::parse(name, arguments, WorkspaceRoot(&inside))
    }

    /// Walks the rooms.
    fn drive(
        &self,
        parsed: Parsed,
        caller: &Caller,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> ToolResult {
        match self.admit(parsed, caller, cancel) {
            Ok(recorded) => recorded.act(self, cancel, progress).settle(self),
            Err(denied) => denied.settle(self),
        }
    }

    /// Walks the rooms up to the recorded intent.
    pub(crate) fn admit(
        &self,
        parsed: Parsed,
        caller: &Caller,
        cancel: &Cancel,
    ) -> Result<Recorded, Denied> {
        let mut identified = parsed.identify(caller, self)?;
        // A call goes round again only when the label grew meanwhile, which happens at most twice in a task.
        loop {
            let permitted = match identified.decide(self) {
                Ruling::Allow(permitted) => permitted,
                Ruling::Deny(denied) => return Err(denied),
                Ruling::NeedsApproval(parked) => match parked.ask(self, cancel) {
                    Asked::Granted(permitted) => permitted,
                    Asked::NotGranted(denied) => return Err(denied),
                },
            };
            match permitted.reserve(self)?.record(self) {
                Ok(recorded) => return Ok(recorded),
                Err(NotRecorded::Stale(again)) => identified = *again,
                Err(NotRecorded::Denied(denied)) => return Err(denied),
            }
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("sandbox", &self.inner.sandbox)
            .field("policy_digest", &self.inner.policy_digest)
            .finish_non_exhaustive()
    }
}

/// The workspace's path as agents write it.
fn inside(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn policy_digest(envelope: &Envelope) -> Digest {
    // Serialisation of these types is deterministic and has no failing case; an empty text would only ever make two
    // policies look the same in the log, and grants are bound to the task besides.
    let gate = envelope.gate();
    let parts = (envelope.permissions(), envelope.classifier(), gate.mode(), gate.armed());
    Digest::of(&serde_json::to_vec(&parts).unwrap_or_default())
}
