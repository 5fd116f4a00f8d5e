use lattice_guard::{Action, RelPath, Request, ResolvedProgram, split_command};
use nucleus_wire::display::escape_short;
use nucleus_wire::tool::{CommandInput, ToolCall, ToolName};

use super::deny::Denied;
use super::parse::Parsed;
use crate::approval::in_pod;
use crate::caller::{Caller, Channel};
use crate::digest::Digest;
use crate::executor::Executor;
use crate::limits::MAX_TARGET_CHARS;
use crate::recorder::CallRecord;
use crate::refusal::Refusal;
use crate::sandbox::Sandbox;
use crate::tools::{Located, Resolver, ToolError};

/// A call with its caller bound and its names resolved: what it would touch, not what it says.
#[derive(Debug)]
#[must_use = "an identified call does nothing"]
pub struct Identified {
    pub(super) number: u64,
    pub(super) call: ToolCall,
    /// The command as it is judged and run; empty for other tools.
    pub(super) argv: Vec<String>,
    pub(super) subject: Subject,
    pub(super) record: CallRecord,
}

/// What is judged.
#[derive(Debug)]
pub(super) enum Subject {
    /// A request to the lattice.
    Request(Request),
    /// Something about the task itself: output of a command that was permitted, ending one, the state of an approval.
    OwnTask,
}

impl Parsed {
    /// Binds the call to the caller that its channel stands for, and resolves what it names.
    ///
    /// # Errors
    /// [`Denied`] for a channel that serves no tools, and for a path that leads out of the workspace.
    pub fn identify(self, caller: &Caller, executor: &Executor) -> Result<Identified, Denied> {
        let sandbox = executor.sandbox();
        let (number, request_id) = sandbox.inner.next_call();
        let argv = argv(&self.call);
        let record = CallRecord {
            request_id,
            principal: caller.principal().clone(),
            channel: caller.channel().name(),
            tool: self.call.name().as_str(),
            target: target(&self.call),
            args_digest: args_digest(&self.call),
            policy_digest: executor.policy_digest(),
        };
        if caller.channel() == Channel::ModelGate {
            let refusal = Refusal::new(
                "deny.identity.channel",
                "identity",
                "Refused: this connection does not serve tools. Use the tools of the MCP server.",
            );
            return Err(Denied::new(number, record, refusal));
        }
        match subject(&self.call, &argv, sandbox) {
            Ok(subject) => Ok(Identified { number, call: self.call, argv, subject, record }),
            Err(error) => Err(Denied::unresolved(number, record, &error)),
        }
    }
}

/// The argument vector of a `run`, split by shell rules when it came as text.
fn argv(call: &ToolCall) -> Vec<String> {
    match call {
        ToolCall::Run(run) => match &run.command {
            CommandInput::Argv(argv) => argv.clone(),
            CommandInput::Text(text) => split_command(text).into_argv(),
        },
        _ => Vec::new(),
    }
}

fn subject(call: &ToolCall, argv: &[String], sandbox: &Sandbox) -> Result<Subject, ToolError> {
    let inner = &*sandbox.inner;
    let resolver = Resolver::new(&inner.workspace);
    let real = |path: &RelPath| resolver.locate(in_pod(path.as_str())).and_then(rel_path);
    let action = match call {
        ToolCall::Read(read) => Action::Read { path: real(&read.path)? },
        ToolCall::Write(write) => Action::Write { path: real(&write.path)? },
        ToolCall::Edit(edit) => Action::Edit { path: real(&edit.path)? },
        ToolCall::Glob(glob) => {
            Action::Glob { root: real(&glob.path)?, pattern: glob.pattern.clone() }
        }
        ToolCall::Grep(grep) => Action::Grep { root: real(&grep.path)? },
        ToolCall::Run(run) => {
            Action::Run { argv: argv.to_vec(), program: program(argv, &run.cwd, sandbox) }
        }
        ToolCall::JobOutput(_) | ToolCall::JobStop(_) | ToolCall::ApprovalsStatus(_) => {
            return Ok(Subject::OwnTask);
        }
    };
    Ok(Subject::Request(Request::new(action, inner.pod)))
}

fn rel_path(located: Located) -> Result<RelPath, ToolError> {
    if located.real.is_empty() {
        return Ok(RelPath::root());
    }
    RelPath::parse(&located.real).map_err(|_| ToolError::Escape { path: located.real })
}

/// The file behind `argv[0]`; what cannot be found is judged by its name and fails when it is started.
fn program(argv: &[String], cwd: &RelPath, sandbox: &Sandbox) -> ResolvedProgram {
    let name = argv.first().map_or("", String::as_str);
    match sandbox.inner.runner.resolve(name, in_pod(cwd.as_str())) {
        Ok(found) => ResolvedProgram::new(&found.path, &found.real, found.agent_writable),
        Err(_) => ResolvedProgram::unresolved(name),
    }
}

/// What the call acts on, for feed and log.
fn target(call: &ToolCall) -> String {
    let text = match call {
        ToolCall::Read(read) => read.path.as_str().to_owned(),
        ToolCall::Write(write) => write.path.as_str().to_owned(),
        ToolCall::Edit(edit) => edit.path.as_str().to_owned(),
        ToolCall::Glob(glob) => format!("{} in {}", glob.pattern, glob.path.as_str()),
        ToolCall::Grep(grep) => format!("{} in {}", grep.pattern, grep.path.as_str()),
        ToolCall::JobOutput(job) => job.job.clone(),
        ToolCall::JobStop(job) => job.job.clone(),
        ToolCall::ApprovalsStatus(status) => status.id.clone().unwrap_or_default(),
        ToolCall::Run(run) => match &run.command {
            CommandInput::Text(text) => text.clone(),
            CommandInput::Argv(argv) => argv.join(" "),
        },
    };
    escape_short(&text, MAX_TARGET_CHARS)
}

fn args_digest(call: &ToolCall) -> Digest {
    // Every value of a call can be written; an empty digest input would still only make approvals not fit.
    Digest::of(&serde_json::to_vec(call).unwrap_or_default())
}

/// True for calls that change something or leave the host: their intent is durable before the effect.
pub(super) fn changes_something(tool: ToolName) -> bool {
    match tool {
        ToolName::Write | ToolName::Edit | ToolName::Run | ToolName::JobStop => true,
        ToolName::Read
        | ToolName::Glob
        | ToolName::Grep
        | ToolName::JobOutput
        | ToolName::ApprovalsStatus => false,
    }
}
