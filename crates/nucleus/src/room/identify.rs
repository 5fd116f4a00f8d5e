use std::fs::File;
use std::io::Read;

use lattice_guard::{Action, Operation, RelPath, Request, ResolvedProgram, split_command};
use nucleus_sys::weaken::{self, Weak};
use nucleus_wire::display::escape_short;
use nucleus_wire::tool::{Asked, CommandInput, ToolCall, ToolName};
use rustix::fs::OFlags;

use super::deny::Denied;
use super::parse::Parsed;
use super::prompt::{self, OwnTools};
use crate::approval::in_pod;
use crate::caller::{Caller, Channel};
use crate::digest::Digest;
use crate::executor::Executor;
use crate::limits::MAX_TARGET_CHARS;
use crate::recorder::CallRecord;
use crate::refusal::Refusal;
use crate::sandbox::Sandbox;
use crate::tools::{Kind, Resolver, ToolError};

/// Longest `HEAD` file that is looked at.
const MAX_HEAD_BYTES: u64 = 4_096;

/// A call with its caller bound and its names resolved: what it would touch, not what it says.
#[derive(Debug)]
#[must_use = "an identified call does nothing"]
pub struct Identified {
    pub(super) number: u64,
    pub(super) call: ToolCall,
    /// The command as it is judged and run; empty for other tools.
    pub(super) argv: Vec<String>,
    pub(super) subject: Subject,
    pub(super) record: Box<CallRecord>,
}

/// What is judged.
#[derive(Debug)]
pub(super) enum Subject {
    /// A request to the lattice.
    Request(Box<Request>),
    /// Something about the task itself: output of a command that was permitted, ending one, the state of an approval.
    OwnTask,
    /// A tool of the client's own that stands for nothing there is a rule for.
    Foreign,
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
        let record = Box::new(CallRecord {
            request_id,
            principal: caller.principal().clone(),
            channel: caller.channel().name(),
            tool: self.call.name().as_str(),
            target: target(&self.call),
            args_digest: args_digest(&self.call),
            policy_digest: executor.policy_digest(),
            quiet: false,
        });
        if matches!(caller.channel(), Channel::ModelGate | Channel::PackageGate) {
            let refusal = Refusal::new(
                "deny.identity.channel",
                "identity",
                "Refused: this connection does not serve tools. Use the tools of the MCP server.",
            );
            return Err(Denied::unidentified(number, record, refusal));
        }
        match subject(&self.call, &argv, executor) {
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
        ToolCall::PermissionPrompt(asks) => match &asks.asked {
            Asked::Run(text) => split_command(text).into_argv(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn subject(call: &ToolCall, argv: &[String], executor: &Executor) -> Result<Subject, ToolError> {
    let sandbox = executor.sandbox();
    let inner = &*sandbox.inner;
    let resolver = Resolver::new(&inner.workspace);
    let real = |path: &RelPath| {
        // Test builds only: judged by the name as written, which is what this resolution prevents.
        if weaken::off(Weak::PathPolicy) || weaken::off(Weak::Resolver) {
            return Ok(path.clone());
        }
        resolver.locate(in_pod(path.as_str())).and_then(|located| rel_path(located.real))
    };
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
        ToolCall::PermissionPrompt(asks) => match prompt::action(&asks.asked, argv, executor, real)
        {
            Ok(action) => action?,
            Err(no_action) => return Ok(no_action),
        },
        ToolCall::JobOutput(_) | ToolCall::JobStop(_) | ToolCall::ApprovalsStatus(_) => {
            return Ok(Subject::OwnTask);
        }
    };
    let root = RelPath::root();
    let (pod, cwd) = match call {
        ToolCall::PermissionPrompt(_) => {
            (executor.own_tools().map_or(inner.pod, OwnTools::context), &root)
        }
        ToolCall::Run(run) => (inner.pod, &run.cwd),
        _ => (inner.pod, &root),
    };
    let request = Request::new(action, pod);
    let git = [Operation::GitCommit, Operation::GitPush];
    let names_git = git.iter().any(|git| request.operations().contains(git));
    let request = match names_git.then(|| current_branch(&resolver, cwd)).flatten() {
        Some(branch) => request.on_branch(&branch),
        None => request,
    };
    Ok(Subject::Request(Box::new(request)))
}

fn rel_path(real: String) -> Result<RelPath, ToolError> {
    if real.is_empty() {
        return Ok(RelPath::root());
    }
    RelPath::parse(&real).map_err(|_| ToolError::Escape { path: real })
}

/// The branch that git would find from `cwd`, read as text: nothing of an agent's tree is executed here. `None` for a
/// detached head, a linked worktree, and whatever is no plain file.
fn current_branch(resolver: &Resolver<'_>, cwd: &RelPath) -> Option<String> {
    let mut directory = Some(in_pod(cwd.as_str()));
    while let Some(here) = directory {
        let git = if here.is_empty() { ".git".to_owned() } else { format!("{here}/.git") };
        if resolver.locate(&git).is_ok_and(|found| found.kind != Kind::Missing) {
            let head = read_small(resolver, &format!("{git}/HEAD"))?;
            return head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned);
        }
        directory = match here.rsplit_once('/') {
            Some((parent, _)) => Some(parent),
            None if here.is_empty() => None,
            None => Some(""),
        };
    }
    None
}

fn read_small(resolver: &Resolver<'_>, path: &str) -> Option<String> {
    let located = resolver.locate(path).ok().filter(|found| found.kind == Kind::File)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = resolver.act(|| resolver.open_real(&located.real, flags)).ok().flatten()?;
    let mut text = String::new();
    File::from(file).take(MAX_HEAD_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The file behind `argv[0]`; what cannot be found is judged by its name and fails when it is started.
pub(super) fn program(argv: &[String], cwd: &RelPath, sandbox: &Sandbox) -> ResolvedProgram {
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
        ToolCall::JobOutput(job) => job.job.clone().unwrap_or_default(),
        ToolCall::JobStop(job) => job.job.clone(),
        ToolCall::ApprovalsStatus(status) => status.id.clone().unwrap_or_default(),
        ToolCall::PermissionPrompt(asks) => prompt::target(asks),
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

/// True for calls that change something or leave the host, or say that the client may: their intent is durable before
/// the effect.
pub(super) fn changes_something(tool: ToolName) -> bool {
    match tool {
        ToolName::Write
        | ToolName::Edit
        | ToolName::Run
        | ToolName::JobStop
        | ToolName::PermissionPrompt => true,
        ToolName::Read
        | ToolName::Glob
        | ToolName::Grep
        | ToolName::JobOutput
        | ToolName::ApprovalsStatus => false,
    }
}
