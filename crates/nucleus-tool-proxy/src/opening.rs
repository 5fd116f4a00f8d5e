//! What is said when a task begins: to the user, and in the log.

use nucleus::{Executor, Recorder};
use nucleus_sandbox::workspace::worktree::{self, Link};
use nucleus_sandbox::{Driver, WorkspaceMode};
use nucleus_wire::control::{Failure, FailureClass, FromProxy, Payload, Started, TaskSpec};

use crate::client;
use crate::packages;
use crate::session::{self, TaskSession};
use crate::task::{Task, limits};
use crate::withheld;

/// Tells the user what holds.
pub(crate) fn announce(task: &Task, policy: &str, notes: Vec<String>) {
    let mut notes = notes;
    notes.extend(withheld::notes(&task.session.handles.masks));
    if !task.spec.within.is_empty() {
        notes.push(format!(
            "the workspace is the whole repository, {}; you stand in {}",
            task.spec.workspace.display(),
            task.spec.within
        ));
    }
    let link = worktree::link(&task.spec.workspace);
    match &link {
        Some(Link::Worktree(found) | Link::Submodule(found)) => {
            let what = if matches!(link, Some(Link::Submodule(_))) { "submodule" } else { "worktree" };
            notes.push(format!(
                "this is a git {what}: its repository, {}, can be read by commands and not written; commit yourself afterwards",
                found.common.display()
            ));
        }
        Some(_) => notes.push(
            "the .git of this workspace names a place outside of it, which no command sees: git does not work here"
                .to_owned(),
        ),
        None => {}
    }
    if session::is_noexec(&task.spec.state_dir) {
        notes.push(
            "the state directory is mounted noexec: commands cannot run what they build in /tmp; set XDG_STATE_HOME elsewhere"
                .to_owned(),
        );
    }
    notes.extend(packages::note(&task.session.packages));
    task.control.send(&FromProxy::Started(Box::new(Started {
        session: task.spec.session.clone(),
        policy: policy.to_owned(),
        policy_digest: task.executor.policy_digest().hex(),
        driver: task.session.driver.name().to_owned(),
        enforcement: session::enforcement(&task.session.handles.enforcement),
        workspace_mode: match task.session.handles.workspace_mode {
            WorkspaceMode::Overlay => "overlay",
            WorkspaceMode::Copy => "copy",
        }
        .to_owned(),
        tools: task.executor.tools().iter().map(|tool| tool.as_str().to_owned()).collect(),
        log: task.session.session.log_path(),
        terminal: task.spec.terminal.is_some(),
        notes,
    })));
}

/// Writes the entry every session begins with.
///
/// # Errors
/// The log cannot be written; nothing may run then.
pub(crate) fn record(
    spec: &TaskSpec,
    recorder: &Recorder,
    session: &TaskSession,
    executor: &Executor,
    policy: &str,
) -> Result<(), Failure> {
    let mut event = recorder.event("session_start");
    event.target = Some(spec.session.clone());
    event.policy_digest = Some(executor.policy_digest().hex());
    event.rule = Some(policy.to_owned());
    for (layer, level) in session::enforcement(&session.handles.enforcement) {
        event.detail.insert(format!("layer_{layer}"), level.into());
    }
    event.detail.insert("driver".to_owned(), session.driver.name().into());
    let limit = limits(executor.envelope());
    event.detail.insert("limit_micro_usd".to_owned(), limit.cost_micro_usd.into());
    event.detail.insert("limit_input_tokens".to_owned(), limit.input_tokens.into());
    event.detail.insert("limit_output_tokens".to_owned(), limit.output_tokens.into());
    if let Payload::Client { .. } = spec.payload {
        event.detail.insert("scope".to_owned(), client::SCOPE.into());
    }
    recorder.append(&event, nucleus_log::Durability::Durable).map(|_| ()).map_err(|error| Failure {
        class: FailureClass::Unavailable,
        message: format!("the log cannot be written: {error}"),
        hint: None,
    })
}
