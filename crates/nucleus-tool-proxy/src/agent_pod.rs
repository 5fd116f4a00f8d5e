//! The agent pod: the program, its home, the stand-in at the workspace's path, the door and the gate.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nucleus_gate::{Ledger, ModelGate};
use nucleus_sandbox::home;
use nucleus_sandbox::home::context::ContextPlace;
use nucleus_sandbox::toolchain::RoBind;
use nucleus_sandbox::{AgentPodSpec, PodSpec};
use nucleus_wire::control::{Failure, FailureClass, Payload};

use crate::agent::{
    self, AGENT_DIR_INSIDE, GATE_PORT, INTERPRETER_INSIDE, Intake, Launch, RELAY_INSIDE,
};
use crate::task::{self, Task};
use crate::{egress, session};

/// What is ready before the pod is.
pub(crate) struct Prepared {
    launch: Launch,
    spec: AgentPodSpec,
    cwd: String,
    gate: Option<Arc<ModelGate>>,
}

impl Prepared {
    /// The pod, with these standard streams, and the gate that will serve its listener.
    pub(crate) fn pod(
        self,
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> (PodSpec, Option<Arc<ModelGate>>) {
        let pod = PodSpec {
            argv: self.launch.argv,
            env: self.launch.env,
            cwd: self.cwd,
            stdin,
            stdout,
            stderr,
            agent: Some(self.spec),
        };
        (pod, self.gate)
    }
}

/// Makes everything the agent pod needs.
///
/// # Errors
/// No adapter, no program, an unusable upstream, or a home that cannot be made.
pub(crate) fn prepare(
    task: &Task,
    model_key: Option<OwnedFd>,
    notes: &mut Vec<String>,
) -> Result<Prepared, Failure> {
    let Payload::Agent {
        agent,
        program,
        package,
        interpreter,
        model,
        resume,
        extra_args,
        prompt,
        input,
    } = &task.spec.payload
    else {
        return Err(agent::defect("payload", &"none"));
    };
    let tools: Vec<String> =
        task.executor.tools().iter().map(|tool| tool.as_str().to_owned()).collect();
    let host_home = task.spec.host_env.get("HOME").map(PathBuf::from).unwrap_or_default();
    let owner = session::acting_ids(&task.session.handles.ids);
    let seeded = home::seed(agent, &task.spec.workspace, &task.spec.state_dir, &host_home, owner)
        .map_err(|error| Failure {
        class: FailureClass::Unavailable,
        message: error.to_string(),
        hint: None,
    })?;
    notes.extend(seeded.notes.iter().cloned());
    let prompt = &placed(prompt, &task.spec.within);
    let inside = agent::program_inside(program, package.as_deref());
    let launch = agent::launch(
        agent,
        &Intake {
            program: &inside,
            interpreted: interpreter.is_some(),
            prompt,
            extra_args,
            input: input.as_deref(),
            tools: &tools,
            lang: task.spec.host_env.get("LANG").map(String::as_str),
            terminal: task.spec.terminal.as_ref(),
            model: model.as_deref(),
            resume: resume.as_ref(),
            provider: task.spec.model.as_ref().map(|upstream| upstream.provider.as_str()),
            settings: &seeded.settings,
            workspace: &task.spec.workspace,
        },
    )?;
    let gate = match &task.spec.model {
        Some(upstream) => {
            Some(egress::model_gate(upstream, model_key, task::ledger(task)? as Arc<dyn Ledger>)?)
        }
        None => None,
    };
    let mut binds = programs(task, &inside);
    let made = task.session.session.dir().join("agent");
    binds.extend(
        files(&made, &launch.files)
            .map_err(|error| session::io_failure("the agent's files", &error))?,
    );
    let context_files = context(task, &host_home, &made, &mut binds)
        .map_err(|error| session::io_failure("the agent's files", &error))?;
    let spec = AgentPodSpec {
        home_dir: seeded.path,
        context_files,
        binds,
        door: true,
        gate_port: gate.is_some().then_some(GATE_PORT),
        dns: true,
        terminal: task.spec.terminal.is_some(),
    };
    let cwd = task.spec.workspace.to_string_lossy().into_owned();
    Ok(Prepared { launch, spec, cwd, gate })
}

/// The relay, the agent's program or package, and its interpreter.
fn programs(task: &Task, inside: &str) -> Vec<RoBind> {
    let mut binds = vec![bind(&task.spec.bin_dir.join("nucleus-mcp"), RELAY_INSIDE)];
    if let Payload::Agent { program, package, interpreter, .. } = &task.spec.payload {
        binds.push(match package {
            Some(package) => RoBind { directory: true, ..bind(package, AGENT_DIR_INSIDE) },
            None => bind(program, inside),
        });
        binds.extend(interpreter.iter().map(|program| bind(program, INTERPRETER_INSIDE)));
    }
    binds
}

/// The task, with the place the user stands in: the agent itself starts at the root of the repository.
fn placed(prompt: &str, within: &str) -> String {
    if within.is_empty() || prompt.is_empty() {
        return prompt.to_owned();
    }
    format!(
        "{prompt}\n\n(Asked from the directory {within} of this repository. Paths count from its root.)"
    )
}

/// Context files: those of the workspace for the stand-in, those of the user bound into the home.
fn context(
    task: &Task,
    host_home: &Path,
    made: &Path,
    binds: &mut Vec<RoBind>,
) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let masks = task.withhold.masks();
    let withheld = |path: &str| masks.judge(path).is_some();
    let mut of_workspace = Vec::new();
    for file in home::context::collect(&task.spec.workspace, host_home, &withheld) {
        match file.place {
            // Pods speak of paths as text; a context file under another name would be of no use to an agent.
            ContextPlace::Workspace(path) => {
                of_workspace.extend(path.as_str().map(|path| (path.to_owned(), file.bytes)));
            }
            ContextPlace::Home(path) => {
                let inside = format!("{}/{path}", agent::HOME_INSIDE);
                binds.extend(files(made, &[(inside, file.bytes)])?);
            }
        }
    }
    Ok(of_workspace)
}

fn bind(host: &Path, inside: &str) -> RoBind {
    RoBind { host: host.to_path_buf(), inside: PathBuf::from(inside), directory: false }
}

/// Writes the files made for this task beneath the session and binds each at its place.
fn files(dir: &Path, made: &[(String, Vec<u8>)]) -> std::io::Result<Vec<RoBind>> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(dir)?;
    made.iter()
        .map(|(inside, bytes)| {
            let path = dir.join(inside.trim_start_matches('/').replace('/', "-"));
            std::fs::write(&path, bytes)?;
            // Readable by the pod's own uid; the directories above are closed to everybody else.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444))?;
            Ok(bind(&path, inside))
        })
        .collect()
}
