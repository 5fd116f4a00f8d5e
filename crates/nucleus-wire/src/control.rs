//! The control protocol between `nucleus` (the user's hand) and `nucleus-tool-proxy` (the enforcement process of one task).
//!
//! One JSON object per line over a socket pair that only these two processes hold. The first line is a
//! [`ToProxy::Start`]; everything the proxy has to show comes back as [`FromProxy`] lines. Secrets never
//! travel in these lines: the model key is a sealed memory file at a descriptor of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::terminal::Facts;

/// Name of the socket in a session's directory that a user's side comes to.
pub const ATTACH_SOCKET: &str = "attach.sock";

/// Name of the file in a session's directory with the last line of a task that ended when nobody was there.
pub const ENDING_FILE: &str = "ending.json";

/// A line from the user's side.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToProxy {
    /// Begins the task. Exactly one, first.
    Start(Box<TaskSpec>),
    /// The user's answer to a [`FromProxy::ApprovalRequested`].
    Decide {
        /// Id shown with the request.
        id: String,
        /// True to grant once, false to refuse.
        approve: bool,
        /// The user's words for the agent, when refused.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Stop the task: pods die, the workspace session is kept.
    Interrupt,
    /// Bytes typed for the agent's terminal, in hex.
    Keys {
        /// The bytes.
        hex: String,
    },
    /// The user's terminal has another size.
    Resize {
        /// Height.
        rows: u16,
        /// Width.
        columns: u16,
    },
    /// Whether the user's side shows the agent's terminal. When it begins to, what is on it is sent again.
    Watch {
        /// It does.
        on: bool,
    },
    /// The user's side goes and the task stays.
    Detach,
    /// First line of another user's side, on the session's own socket: shows this task from now on.
    Attach {
        /// Its terminal, when it has one.
        terminal: Option<Facts>,
    },
}

/// Everything the proxy needs to run one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Identifier of the session, made by the user's side: `[0-9a-z-]{8,40}`.
    pub session: String,
    /// Directory of Nucleus's own state (mode 0700).
    pub state_dir: PathBuf,
    /// Nucleus's own directories, state and configuration: no workspace may cover them or lie in them.
    pub protected: Vec<PathBuf>,
    /// Directory the task works on.
    pub workspace: PathBuf,
    /// Where in it the user stands, workspace-relative; empty at its root. The user's own command runs there.
    #[serde(default)]
    pub within: String,
    /// What runs.
    pub payload: Payload,
    /// Where the envelope comes from.
    pub policy: PolicySource,
    /// Operator ceilings met with the policy, in order (administrator's file first).
    pub ceilings: Vec<PolicyText>,
    /// The user accepted the local driver (flag or configuration).
    pub allow_local_driver: bool,
    /// Hold every change for review instead of applying ordinary ones.
    pub review: bool,
    /// Who can answer approvals.
    pub approvals: ApprovalMode,
    /// Webhook that is told of requests (its key comes at `--webhook-key-fd`).
    #[serde(default)]
    pub webhook: Option<WebhookTarget>,
    /// Where model calls go; absent when the payload needs no model.
    pub model: Option<ModelUpstream>,
    /// Hard limit for the whole task, in seconds; the policy's window still holds.
    pub timeout_s: Option<u64>,
    /// Ports of the tool pods that the user asked for on this machine's loopback.
    #[serde(default)]
    pub publish: Vec<Publish>,
    /// The agent gets a terminal of its own, and the user sees that instead of its output.
    #[serde(default)]
    pub terminal: Option<TerminalSpec>,
    /// The task goes on when the user's side goes.
    #[serde(default)]
    pub detached: bool,
    /// Where packages come from, if the policy lets any be fetched.
    #[serde(default)]
    pub packages: PackageSources,
    /// Directory that holds `nucleus-mcp`.
    pub bin_dir: PathBuf,
    /// Host environment the proxy may use to find toolchains (`PATH`, `HOME`, `CARGO_HOME`, `RUSTUP_HOME`, …), never passed to a pod as is.
    pub host_env: BTreeMap<String, String>,
}

/// A port of the tool pods' loopback that is also reachable at 127.0.0.1 of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// On the host.
    pub host: u16,
    /// In the pods.
    pub pod: u16,
}

/// The terminal made for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalSpec {
    /// What it is like at first.
    pub facts: Facts,
    /// Its `TERM`.
    pub term: String,
    /// Its `COLORTERM`.
    #[serde(default)]
    pub colour: Option<String>,
}

/// Where packages come from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSources {
    /// Registry → base URL, where the operator has a mirror.
    pub mirrors: BTreeMap<lattice_guard::Registry, String>,
    /// Host proxy for HTTPS (`HTTPS_PROXY`), when set.
    pub https_proxy: Option<String>,
    /// Hosts that bypass the proxy (`NO_PROXY`).
    pub no_proxy: Option<String>,
    /// Extra root certificates in PEM (`SSL_CERT_FILE`).
    pub extra_roots: Option<PathBuf>,
}

/// What a task runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Payload {
    /// An agent program, in the agent pod, whose only way to the workspace is the door.
    Agent {
        /// Adapter: `claude`, `codex`, `gemini`, `opencode` or `scripted`.
        agent: String,
        /// The program on the host.
        program: PathBuf,
        /// Directory of the host that the program cannot do without and lies in.
        #[serde(default)]
        package: Option<PathBuf>,
        /// Interpreter on the host, for a program that is a script.
        #[serde(default)]
        interpreter: Option<PathBuf>,
        /// Model to ask the agent for; its own choice when absent.
        #[serde(default)]
        model: Option<String>,
        /// Conversation to go on with.
        #[serde(default)]
        resume: Option<Resume>,
        /// Arguments after the adapter's own.
        extra_args: Vec<String>,
        /// The task in words (for `scripted`: the path of the script, read by the user's side and passed in `input`).
        prompt: String,
        /// Bytes the adapter hands to the agent as a file (the script of `scripted`).
        input: Option<String>,
    },
    /// The tool calls of an MCP client outside of any pod, over a connection the proxy was given (`--client-fd`).
    /// Nothing but those calls is enforced.
    Client {
        /// The client is a Claude Code that is to ask about its own tools.
        permission_prompt: bool,
    },
    /// One command, in a tool pod, judged as a `run`.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// A conversation of the agent's own, kept in its home for the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// The latest one.
    Latest,
    /// The one the agent knows by this id.
    Id(String),
}

/// Where the operator's envelope comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum PolicySource {
    /// A profile of the registry.
    Profile {
        /// Its name.
        name: String,
    },
    /// A `permissions.toml` named by `--config`.
    File(PolicyText),
}

/// A policy file as read by the user's side.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Name for messages.
    pub name: String,
    /// The host path, so that an agent's edit of it can be held.
    pub path: Option<PathBuf>,
    /// The text.
    pub text: String,
}

/// Who answers approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// A human at the terminal of `nucleus run`, or at the approvals socket.
    Terminal,
    /// A human at the approvals socket only (`nucleus approvals`): calls park until somebody answers.
    Socket,
    /// Nobody: obligations deny.
    None,
}

/// A webhook of the user's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// `https://host[:port]/path`, or `http://` to this machine.
    pub url: String,
    /// Host proxy for HTTPS (`HTTPS_PROXY`), when set.
    pub https_proxy: Option<String>,
    /// Hosts that bypass the proxy (`NO_PROXY`).
    pub no_proxy: Option<String>,
    /// Extra root certificates in PEM (`SSL_CERT_FILE`).
    pub extra_roots: Option<PathBuf>,
}

/// Where model calls go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelUpstream {
    /// Provider: `anthropic`, `openai`, `openai-chat` or `gemini`.
    pub provider: String,
    /// Origin, `https://host[:port]` or, for a loopback upstream named by the user, `http://127.0.0.1:port`.
    pub base_url: String,
    /// True when the proxy was given the key's descriptor (`--model-key-fd`).
    pub key: bool,
    /// The file of a subscription login (`nucleus login`) that stands in the place of a key.
    #[serde(default)]
    pub login: Option<PathBuf>,
    /// Host proxy for HTTPS (`HTTPS_PROXY`), when set.
    pub https_proxy: Option<String>,
    /// Hosts that bypass the proxy (`NO_PROXY`).
    pub no_proxy: Option<String>,
    /// Extra root certificates in PEM (`SSL_CERT_FILE`).
    pub extra_roots: Option<PathBuf>,
    /// Price table overrides as TOML text from the user's configuration.
    pub prices: Option<String>,
}

/// A line from the proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromProxy {
    /// The envelope stands; the payload is about to start.
    Started(Box<Started>),
    /// Something of the feed.
    Feed(FeedEvent),
    /// A human is asked.
    ApprovalRequested(ApprovalView),
    /// A pending request is settled (granted, refused, expired, withdrawn).
    ApprovalSettled {
        /// Id of the request.
        id: String,
        /// What happened to it.
        outcome: String,
    },
    /// Bytes the payload wrote (agent's or command's own output), to be shown with control characters escaped off a terminal.
    Output {
        /// `stdout` or `stderr`.
        stream: String,
        /// As text; what is not UTF-8 is replaced.
        text: String,
        /// The bytes themselves, in hex, when the text is not all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hex: Option<String>,
    },
    /// What the agent's terminal shows next, filtered: whole sequences of the allowlist.
    Screen {
        /// As text.
        text: String,
    },
    /// This user's side is let go; the task goes on.
    Detached {
        /// Why.
        reason: String,
    },
    /// The task is over.
    Finished(Box<Summary>),
    /// The task could not start or go on.
    Failed(Failure),
}

/// What holds, as probed and achieved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Session id.
    pub session: String,
    /// Name of the profile or policy file.
    pub policy: String,
    /// SHA-256 of the effective envelope, hex.
    pub policy_digest: String,
    /// Driver name.
    pub driver: String,
    /// Layer → `full`, `partial: why`, `none: why`.
    pub enforcement: BTreeMap<String, String>,
    /// `overlay` or `copy`.
    pub workspace_mode: String,
    /// Tools the agent sees.
    pub tools: Vec<String>,
    /// The log.
    pub log: PathBuf,
    /// The agent has a terminal of its own.
    #[serde(default)]
    pub terminal: bool,
    /// Notes the user should read (degraded layers, ignored settings, MCP servers not carried over).
    pub notes: Vec<String>,
}

/// One line of the live feed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedEvent {
    /// Sequence of the call within the task, from 1.
    pub call: u64,
    /// What happened.
    pub status: FeedStatus,
    /// Tool or effect: `read`, `run`, `model`, `dns`, `gate`, …
    pub tool: String,
    /// Target, rendered by the trusted side (escaped, workspace-relative).
    pub target: String,
    /// Rule that decided, for a refusal or a wait.
    pub rule: Option<String>,
    /// Layer that held, for a refusal: `policy`, `resolver`, `mount`, `network`, `gate`, `seccomp`, …
    pub layer: Option<String>,
    /// Short result: `exit 0`, `3 matches`, `1.2 KiB`.
    pub detail: Option<String>,
    /// Time taken, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// Status of a feed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedStatus {
    /// The call was let through and has begun.
    Allowed,
    /// The call ended.
    Done,
    /// The call ended with an error of its own (not a refusal).
    Failed,
    /// The call was ended on purpose before it was done: stopped, taken back, or over with the task.
    Stopped,
    /// The call was refused.
    Denied,
    /// The call waits for a human.
    Waiting,
    /// A long call still runs.
    Progress,
}

/// An approval request as the trusted side renders it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalView {
    /// Id to type.
    pub id: String,
    /// Operation that needs approval, e.g. `git_push`.
    pub operation: String,
    /// Rule that asked.
    pub rule: String,
    /// Rendering, control and bidi characters escaped, agent text labelled.
    pub rendering: String,
    /// The rendering is all of it: whoever has read it knows what they say yes to.
    #[serde(default)]
    pub complete: bool,
    /// SHA-256 of the canonical arguments, hex.
    pub digest: String,
    /// Seconds until it is refused.
    pub expires_in_s: u64,
    /// Who wants it.
    #[serde(default)]
    pub principal: String,
    /// What it acts on, in one line, escaped.
    #[serde(default)]
    pub target: String,
    /// Number that a signed answer to this very request must carry, hex.
    #[serde(default)]
    pub nonce: String,
}

/// How a task ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Session id.
    pub session: String,
    /// Exit code of the payload; absent when it was killed.
    pub exit_code: Option<i32>,
    /// `finished`, `interrupted`, `timed_out`, `killed`.
    pub ending: String,
    /// Files written to the workspace.
    pub applied: Vec<FileChange>,
    /// Files held for review, with the reason.
    pub held: Vec<FileChange>,
    /// Files whose host version changed during the task.
    pub conflicts: Vec<FileChange>,
    /// Calls by verdict: `allowed`, `approved`, `denied`, `waiting`, `malformed`, `failed`, `stopped`.
    pub calls: BTreeMap<String, u64>,
    /// Uncached input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Cost in micro-dollars.
    pub cost_micro_usd: u64,
    /// A subscription paid: the cost is what list prices would have made of the tokens.
    #[serde(default)]
    pub list_price_estimate: bool,
    /// The log.
    pub log: PathBuf,
    /// Entries in the log.
    pub log_entries: u64,
    /// What `nucleus-audit verify` would say of it now: `verified`, or what is wrong.
    pub log_verdict: String,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// Layer → achieved level.
    pub enforcement: BTreeMap<String, String>,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Workspace-relative path, escaped for display.
    pub path: String,
    /// `created`, `modified`, `deleted`, `mode`, `git`.
    pub kind: String,
    /// Why it was held, when it was.
    pub reason: Option<String>,
}

/// Why a task could not run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// Class, which fixes the exit code.
    pub class: FailureClass,
    /// What happened, for the user.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Class of a failure; each has one exit code (the `sysexits.h` numbers, which programs rarely use themselves), listed in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Wrong use: flags, workspace, missing program. Exit 64.
    Usage,
    /// A policy or configuration file is bad. Exit 65.
    Policy,
    /// The envelope refused the task or its command. Exit 77.
    Denied,
    /// The host cannot hold what is asked (isolation, user namespaces). Exit 69.
    Isolation,
    /// No space, IO error, log poisoned. Exit 74.
    Unavailable,
    /// A defect of Nucleus. Exit 70.
    Internal,
    /// The user ended it at once. Exit 130, as a shell reports SIGINT.
    Interrupted,
}

impl FailureClass {
    /// The process exit code of `nucleus` for this class.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Policy => 65,
            Self::Denied => 77,
            Self::Isolation => 69,
            Self::Unavailable => 74,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }
}
