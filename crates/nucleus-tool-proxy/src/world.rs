//! The world of a task as its rooms see it.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use lattice_guard::{Label, PodContext};
use nucleus::{
    ApprovalSetup, Clock, Feed, OwnTools, Recorder, Runner, Sandbox, SandboxParts, Workspace,
};
use nucleus_sandbox::Driver;
use nucleus_wire::control::{Failure, FailureClass, Payload, TaskSpec};

use crate::agent;
use crate::control::Control;
use crate::runner::PodRunner;
use crate::session::{self, TaskSession};

/// The sandbox of a task, with everything plugged in.
///
/// # Errors
/// The host gives no descriptor.
pub(crate) fn sandbox(
    spec: &TaskSpec,
    control: &Arc<Control>,
    clock: &Arc<dyn Clock>,
    session: &TaskSession,
    recorder: &Recorder,
    runner: &Arc<PodRunner>,
    approvals: ApprovalSetup,
) -> Result<Sandbox, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Unavailable,
        message: error.to_string(),
        hint: None,
    };
    let root =
        session.handles.merged.as_fd().try_clone_to_owned().map_err(|error| internal(&error))?;
    Ok(Sandbox::new(SandboxParts {
        task: spec.session.clone(),
        workspace: Workspace {
            root,
            ids: session::acting_ids(&session.handles.ids),
            path: spec.workspace.clone(),
        },
        spool: Some(
            std::fs::File::open(session.session.dir()).map_err(|error| internal(&error))?.into(),
        ),
        home: spec.host_env.get("HOME").map(PathBuf::from),
        runner: Arc::clone(runner) as Arc<dyn Runner>,
        pod: PodContext { network: false, credentials: false, overlay_only: true },
        recorder: recorder.clone(),
        clock: Arc::clone(clock),
        feed: Arc::clone(control) as Arc<dyn Feed>,
        approvals,
        label: Label::default(),
    }))
}

/// Where the client's own tools act, if it is to ask about them here.
pub(crate) fn own_tools(spec: &TaskSpec) -> Option<OwnTools> {
    match &spec.payload {
        Payload::Agent { agent, extra_args, .. } => {
            agent::asks(agent, extra_args, spec.terminal.is_some()).then_some(OwnTools::Pod)
        }
        Payload::Client { permission_prompt } => permission_prompt.then_some(OwnTools::Host),
        Payload::Command { .. } => None,
    }
}

/// What starts the commands of the tools.
///
/// # Errors
/// The host gives no descriptor.
pub(crate) fn tool_runner(spec: &TaskSpec, session: &TaskSession) -> Result<PodRunner, Failure> {
    let root = session
        .handles
        .root
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| session::io_failure("the pod's root", &error))?;
    Ok(PodRunner::new(
        Arc::clone(&session.driver) as Arc<dyn Driver>,
        root,
        spec.workspace.to_string_lossy().into_owned(),
        session::tool_environment(spec, &session.toolchains, &session.packages),
        session::acting_ids(&session.handles.ids),
    ))
}
