//! A call that asks whether a tool of the client's own may be used: judged as what that tool stands for. Its only effect is
//! the answer; what the client then does is out of sight, and held by whatever the client runs in, or by nothing.

use lattice_guard::{Action, Method, PodContext, RelPath, ResolvedProgram};
use nucleus_wire::display::escape_short;
use nucleus_wire::tool::{Asked, PermissionPrompt, ToolName};

use super::identify::{Subject, program};
use crate::effect::EffectReport;
use crate::executor::Executor;
use crate::limits::MAX_TARGET_CHARS;
use crate::refusal::Refusal;
use crate::tools::ToolError;

/// Where the client's own tools act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnTools {
    /// In a pod of the client's: on a stand-in of the workspace, with nothing to reach.
    Pod,
    /// On the host, as the user: whatever the user can do, they can.
    Host,
}

impl OwnTools {
    /// The same as the lattice takes it.
    pub(super) const fn context(self) -> PodContext {
        let host = matches!(self, Self::Host);
        PodContext { network: host, credentials: host, overlay_only: !host }
    }
}

/// What is judged; as the other result, what the lattice has no word for. `real` resolves a path.
pub(super) fn action(
    asked: &Asked,
    argv: &[String],
    executor: &Executor,
    real: impl Fn(&RelPath) -> Result<RelPath, ToolError>,
) -> Result<Result<Action, ToolError>, Subject> {
    Ok(match asked {
        // The door itself judges that call when it comes; a yes here opens nothing.
        Asked::Ours => return Err(Subject::OwnTask),
        Asked::Unknown => return Err(Subject::Foreign),
        // A search is decided on where it begins, because ours leaves out what the policy withholds. On the host this one
        // would not.
        Asked::Glob { .. } | Asked::Grep(_) if executor.own_tools() == Some(OwnTools::Host) => {
            return Err(Subject::Foreign);
        }
        Asked::Read(path) => real(path).map(|path| Action::Read { path }),
        Asked::Write(path) => real(path).map(|path| Action::Write { path }),
        Asked::Edit(path) => real(path).map(|path| Action::Edit { path }),
        Asked::Glob { path, pattern } => {
            real(path).map(|root| Action::Glob { root, pattern: pattern.clone() })
        }
        Asked::Grep(path) => real(path).map(|root| Action::Grep { root }),
        Asked::Run(_) => {
            let program = match executor.own_tools() {
                // What a name stands for outside of every pod is not known here, so no rule may trust it.
                Some(OwnTools::Host) => {
                    let name = argv.first().map_or("", String::as_str);
                    ResolvedProgram::new(name, name, true)
                }
                _ => program(argv, &RelPath::root(), executor.sandbox()),
            };
            Ok(Action::Run { argv: argv.to_vec(), program })
        }
        Asked::WebFetch(host) => {
            Ok(Action::WebFetch { host: host.clone(), method: Method::Get, body: false })
        }
        Asked::WebSearch(host) => Ok(Action::WebSearch { host: host.clone() }),
    })
}

/// The tool and what it would act on, for feed and log.
pub(super) fn target(prompt: &PermissionPrompt) -> String {
    let what = match &prompt.asked {
        Asked::Ours | Asked::Unknown => return prompt.tool_name.clone(),
        Asked::Read(path) | Asked::Write(path) | Asked::Edit(path) | Asked::Grep(path) => {
            path.as_str().to_owned()
        }
        Asked::Glob { path, pattern } => format!("{pattern} in {}", path.as_str()),
        Asked::Run(text) => text.clone(),
        Asked::WebFetch(host) | Asked::WebSearch(host) => host.to_string(),
    };
    format!("{}: {what}", prompt.tool_name)
}

/// The refusal of a tool there is no rule for.
pub(super) fn foreign(prompt: &PermissionPrompt, executor: &Executor) -> Refusal {
    let tools: Vec<&str> = executor
        .tools()
        .into_iter()
        .filter(|tool| *tool != ToolName::PermissionPrompt)
        .map(ToolName::as_str)
        .collect();
    let text = format!(
        "Refused (deny.prompt.unknown): Nucleus has no rule for the tool `{}`. Use the tools of the MCP server \
         `nucleus` instead: {}.",
        escape_short(&prompt.tool_name, MAX_TARGET_CHARS),
        tools.join(", ")
    );
    Refusal::new("deny.prompt.unknown", "policy", text)
}

/// The effect: a yes, in the client's own form.
pub(super) fn allowed(prompt: &PermissionPrompt) -> EffectReport {
    EffectReport { text: prompt.allowed(), detail: "allowed".to_owned(), ..EffectReport::default() }
}
