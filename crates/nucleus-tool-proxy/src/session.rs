//! The session of a task: its directory, its log, and the walls around its workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lattice_guard::{
    Envelope, IsolationLevel, Models, Packages, PathPattern, PathRules, Permissions,
};
use nucleus::Past;
use nucleus_log::Writer;
use nucleus_sandbox::toolchain::{self, HostEnv, Toolchain};
use nucleus_sandbox::workspace::worktree::{self, Link};
use nucleus_sandbox::workspace::{
    self, Lock, Mask, MaskReason, Mode, Session, SessionSettings, WorkspaceError,
};
use nucleus_sandbox::{
    Driver, Enforcement, HOME, LauncherConfig, Limits, LocalDriver, PodIds, SandboxError,
    SessionHandles, SessionSpec, Strength, Withhold, WorkspaceMode,
};
use nucleus_wire::control::{Failure, FailureClass, FromProxy, Payload, PolicySource, TaskSpec};

use crate::{log, packages};

/// A session whose walls stand.
pub(crate) struct TaskSession {
    /// On disk.
    pub session: Session,
    /// Keeps others from applying or discarding it meanwhile.
    pub lock: Lock,
    /// The log.
    pub writer: Arc<Writer>,
    /// What it said of approvals before this process.
    pub past: Past,
    /// Makes pods.
    pub driver: Arc<LocalDriver>,
    /// What the host holds of the walls.
    pub handles: SessionHandles,
    /// Toolchains the pods got.
    pub toolchains: Vec<Toolchain>,
    /// Registries their commands may fetch from.
    pub packages: Packages,
}

/// Admits the directory the task is to work on.
///
/// # Errors
/// It cannot be a workspace; the text says why and what to name instead.
pub(crate) fn admit(spec: &TaskSpec) -> Result<workspace::Workspace, Failure> {
    let home = spec.host_env.get("HOME").map(PathBuf::from).unwrap_or_default();
    workspace::admit(&spec.workspace, &spec.protected, &home).map_err(|refusal| Failure {
        class: FailureClass::Usage,
        message: refusal.to_string(),
        hint: None,
    })
}

/// Hides from the file tools, which act on the tree without masks, what pods see only without its credentials: git
/// configurations with a token in the address of a remote.
///
/// # Errors
/// A path that cannot be named in a rule; nothing may be read then.
pub(crate) fn hide_scrubbed(envelope: &Envelope, masks: &[Mask]) -> Result<Envelope, Failure> {
    let patterns: Result<Vec<PathPattern>, _> = masks
        .iter()
        .filter(|mask| mask.reason == MaskReason::Credential)
        .filter_map(|mask| mask.path.as_str())
        .map(|path| PathPattern::parse(&literal(path)))
        .collect();
    let patterns = patterns.map_err(|error| Failure {
        class: FailureClass::Internal,
        message: format!("a file with a credential cannot be withheld: {error}"),
        hint: None,
    })?;
    let model = Models { visible: PathRules::except(patterns), ..Models::top() };
    Ok(envelope.tighten(&Permissions { model, ..Permissions::top() }))
}

/// A pattern for one path of the workspace.
fn literal(path: &str) -> String {
    let mut pattern = String::from("/");
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Starts the driver and refuses what this host or this user does not allow, before anything is written.
///
/// # Errors
/// The local driver was not accepted, cannot work here, or achieves less than the envelope demands.
pub(crate) fn driver(
    spec: &TaskSpec,
    permissions: &Permissions,
) -> Result<Arc<LocalDriver>, Failure> {
    if !spec.allow_local_driver {
        return Err(Failure {
            class: FailureClass::Isolation,
            message: "no microVM driver is available, and the local driver was not accepted".to_owned(),
            hint: Some(
                "the local driver isolates with namespaces, seccomp and Landlock of this host's own kernel:\n\
                 you get an agent that reaches nothing but the workspace and the model; you lose a second kernel, so a kernel\n\
                 exploit would end the isolation. Accept it with --allow-local-driver, or for good with\n\
                 allow_local_driver = true in the configuration file"
                    .to_owned(),
            ),
        });
    }
    let driver =
        LocalDriver::start(&LauncherConfig::default()).map_err(|error| sandbox_failure(&error))?;
    // Preparing the session builds and tests the same walls: a probe of its own is for policies that ask for more.
    let full = if permissions.isolation.full_layers.is_empty() {
        BTreeSet::new()
    } else {
        let found = driver.probe().map_err(|error| sandbox_failure(&error))?;
        found.full()
    };
    match permissions.isolation.unmet(IsolationLevel::Process, &full) {
        None => Ok(Arc::new(driver)),
        Some(shortfall) => Err(Failure {
            class: FailureClass::Isolation,
            message: format!(
                "the policy asks for more isolation than this host gives: {shortfall}"
            ),
            hint: Some(
                "lower [isolation] in the policy, or run on a host that gives it".to_owned(),
            ),
        }),
    }
}

/// Makes the session and builds its walls.
///
/// # Errors
/// Any; nothing of the agent's has run then, and the workspace is as it was.
pub(crate) fn open(
    spec: &TaskSpec,
    admitted: &workspace::Workspace,
    driver: Arc<LocalDriver>,
    withhold: &Withhold,
    packages: &Packages,
    policy_digest: &str,
) -> Result<TaskSession, Failure> {
    let settings = SessionSettings {
        policy_file: policy_file(&spec.policy),
        task: Some(task_words(&spec.payload)),
    };
    let (mut session, lock) = Session::create(&spec.state_dir, &spec.session, admitted, settings)
        .map_err(|error| workspace_failure(&error))?;
    withhold.save(session.dir()).map_err(|error| io_failure("the session", &error))?;
    let ((writer, past), toolchains, prepared) = std::thread::scope(|scope| {
        // A new log waits for the disk, new walls for the kernel: neither for the other.
        let log = scope.spawn(|| log::open(&spec.state_dir, &session.log_path(), session.id()));
        let walls = walls(spec, &driver, withhold, packages, &session, policy_digest);
        let log = log.join().unwrap_or_else(|_| {
            Err(Failure {
                class: FailureClass::Internal,
                message: "making the log panicked".to_owned(),
                hint: None,
            })
        });
        let (toolchains, prepared) = walls?;
        Ok::<_, Failure>((log?, toolchains, prepared))
    })?;
    let handles = match prepared {
        Ok(handles) => handles,
        Err(error) => {
            // Nothing ran, so there is nothing to keep; the user is told why the walls could not be built.
            let _discarded = workspace::discard(&mut session, &lock);
            return Err(sandbox_failure(&error));
        }
    };
    let mode = match handles.workspace_mode {
        WorkspaceMode::Overlay => Mode::Overlay,
        WorkspaceMode::Copy => Mode::Copy,
    };
    let ids = if mode == Mode::Overlay { handles.ids.disk_map() } else { None };
    session.set_mode(&lock, mode, ids).map_err(|error| workspace_failure(&error))?;
    let packages = packages.clone();
    Ok(TaskSession { session, lock, writer, past, driver, handles, toolchains, packages })
}

/// Finds what the pods get beside the workspace, and builds the walls.
fn walls(
    spec: &TaskSpec,
    driver: &LocalDriver,
    withhold: &Withhold,
    packages: &Packages,
    session: &Session,
    policy_digest: &str,
) -> Result<(Vec<Toolchain>, Result<SessionHandles, SandboxError>), Failure> {
    let toolchains = toolchain::discover(&HostEnv {
        vars: spec.host_env.clone(),
        workspace: spec.workspace.clone(),
    });
    let cache_dir = cache(&spec.state_dir, &spec.workspace, policy_digest)?;
    let beside = match worktree::link(&spec.workspace) {
        Some(Link::Worktree(found) | Link::Submodule(found)) => found
            .binds(session.dir(), &withhold.masks())
            .map_err(|error| io_failure("the repository beside the workspace", &error))?,
        _ => Vec::new(),
    };
    let prepared = driver.prepare(&SessionSpec {
        beside,
        session_dir: session.dir().to_owned(),
        workspace: spec.workspace.clone(),
        masks: withhold.masks(),
        toolchains: toolchains.clone(),
        gate: packages::tool_gate(packages),
        cache_dir: Some(cache_dir),
        limits: Limits::default(),
        required: BTreeSet::new(),
    });
    Ok((toolchains, prepared))
}

/// The exact environment of tool pods: toolchains first, then the base system, nothing of the host's own.
pub(crate) fn tool_environment(
    spec: &TaskSpec,
    toolchains: &[Toolchain],
    packages: &Packages,
) -> Vec<(String, String)> {
    let mut path: Vec<String> = toolchains.iter().flat_map(|t| t.path.iter().cloned()).collect();
    path.extend(toolchain::base().path);
    let mut env: BTreeMap<String, String> =
        toolchains.iter().flat_map(|t| t.env.iter().cloned()).collect();
    for (name, value) in [
        ("HOME", HOME),
        ("SHELL", "/bin/sh"),
        ("TERM", "dumb"),
        ("TMPDIR", "/tmp"),
        ("USER", "agent"),
        ("LOGNAME", "agent"),
        // A repository that repacks itself is held: its packs would be all there is to look through.
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "gc.auto"),
        ("GIT_CONFIG_VALUE_0", "0"),
        ("GIT_CONFIG_KEY_1", "maintenance.auto"),
        ("GIT_CONFIG_VALUE_1", "false"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    env.insert("PATH".to_owned(), path.join(":"));
    for name in ["LANG", "LC_ALL"] {
        if let Some(value) = spec.host_env.get(name) {
            env.insert(name.to_owned(), value.clone());
        }
    }
    // The user's name for commits: no pod has a git configuration of theirs.
    for (theirs, ours) in
        [("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")]
    {
        if let Some(value) = spec.host_env.get(theirs) {
            env.insert(theirs.to_owned(), value.clone());
            env.insert(ours.to_owned(), value.clone());
        }
    }
    packages::lead(&mut env, packages);
    #[cfg(feature = "weaken")]
    if nucleus_sys::weaken::off(nucleus_sys::weaken::Weak::Env) {
        env.extend(std::env::vars());
    }
    env.into_iter().collect()
}

/// Whether programs in a directory cannot be run.
pub(crate) fn is_noexec(dir: &Path) -> bool {
    rustix::fs::statvfs(dir)
        .is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Layer → level, for people and for the log.
pub(crate) fn enforcement(found: &Enforcement) -> BTreeMap<String, String> {
    found
        .iter()
        .map(|(layer, finding)| {
            let level = match finding.strength {
                Strength::Full => "full".to_owned(),
                Strength::Partial => format!("partial: {}", finding.evidence),
                Strength::None => format!("none: {}", finding.evidence),
            };
            (layer.name().to_owned(), level)
        })
        .collect()
}

/// Writable layers of toolchain caches: one directory per workspace and policy, never shared with another.
fn cache(state_dir: &Path, workspace: &Path, policy_digest: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let digest = nucleus::Digest::of(workspace.as_os_str().as_bytes()).hex();
    let name = format!("{}-{}", first(&digest, 16), first(policy_digest, 16));
    let dir = state_dir.join("caches").join(name);
    std::fs::create_dir_all(&dir).map_err(|error| io_failure("the cache directory", &error))?;
    Ok(dir)
}

fn first(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn policy_file(policy: &PolicySource) -> Option<PathBuf> {
    match policy {
        PolicySource::File(file) => file.path.clone(),
        PolicySource::Profile { .. } => None,
    }
}

fn task_words(payload: &Payload) -> String {
    match payload {
        Payload::Agent { agent, prompt, .. } => format!("{agent}: {prompt}"),
        Payload::Command { argv } => argv.join(" "),
        Payload::Client { .. } => "tool calls of an MCP client outside of any pod".to_owned(),
    }
}

/// Where a task's rules come from, for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Name of the operator's policy.
    pub policy: String,
    /// The files that took something from it.
    pub tightened_by: Vec<String>,
}

/// What the user is told when the envelope does not let their own command run: the result's text is for agents.
pub(crate) fn command_refused(result: &nucleus::ToolResult, rules: &Rules) -> Failure {
    let Rules { policy, tightened_by } = rules;
    let (message, hint) = match &result.ending {
        nucleus::Ending::Denied(refusal) if refusal.code() == "deny.approval.refused" => {
            ("you refused this command; nothing was run".to_owned(), None)
        }
        nucleus::Ending::Denied(refusal) if refusal.code() == "deny.approval.expired" => (
            "nobody answered in time, so the command was refused; nothing was run".to_owned(),
            Some("run it again and answer the question, here or with `nucleus approvals`".to_owned()),
        ),
        nucleus::Ending::Denied(refusal) => (
            // The rule and what it is about; what follows is advice for an agent.
            refusal.text().split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
                + &format!(" (policy {policy}, held by {})", refusal.layer()),
            Some(way_on(refusal.code(), tightened_by)),
        ),
        nucleus::Ending::ApprovalRequired { operation, .. } => (
            format!("policy {policy} asks a person before {operation}, and nobody approved it"),
            Some(
                "run it at a terminal and answer the question,\nor with --approvals socket and answer from another one: nucleus approvals,\nor use a policy that permits it"
                    .to_owned(),
            ),
        ),
        _ => (result.text.clone(), Some("the log of the session has the details".to_owned())),
    };
    Failure { class: FailureClass::Denied, message, hint }
}

/// What could let a refused command run, by what refused it.
fn way_on(code: &str, tightened_by: &[String]) -> String {
    let what = if code.starts_with("deny.budget.") {
        "give it more in [budget] of a permissions.toml of your own: --config FILE"
    } else {
        "choose a profile that lets it (`nucleus profiles`) with --profile NAME,\nor name a permissions.toml of your own with --config FILE"
    };
    match tightened_by {
        [] => what.to_owned(),
        files => format!(
            "{what}\nalso in force: {}; what it takes away, no profile gives back",
            files.join(" and ")
        ),
    }
}

/// Why a command of the user's cannot be executed in a pod.
pub(crate) fn not_runnable(program: &str, error: &nucleus::RunnerError, path: &str) -> FromProxy {
    let program = nucleus_wire::display::escape_short(program, 200);
    let text = match error {
        nucleus::RunnerError::NotFound { .. } => format!(
            "nucleus: {program}: not found in the sandbox\n  a pod sees this system's programs and the toolchains found here, nothing of your home\n  searched: {path}\n"
        ),
        nucleus::RunnerError::NotExecutable { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            format!(
                "nucleus: {program}: found, but not executable\n  `chmod +x` makes a program executable; a directory never is\n"
            )
        }
        nucleus::RunnerError::NotExecutable { source, .. } => {
            format!("nucleus: {program}: found, but it cannot be executed: {source}\n")
        }
        other => format!("nucleus: {program}: {}\n", with_causes(other)),
    };
    FromProxy::Output { stream: "stderr".to_owned(), text, hex: None }
}

/// The failure of a driver, with its remedy.
pub(crate) fn sandbox_failure(error: &SandboxError) -> Failure {
    let class = match error {
        SandboxError::UserNamespaces { .. }
        | SandboxError::Requirement { .. }
        | SandboxError::SelfTest { .. } => FailureClass::Isolation,
        SandboxError::Path { .. } => FailureClass::Usage,
        SandboxError::Misuse(_) => FailureClass::Internal,
        _ => FailureClass::Unavailable,
    };
    let text = error.to_string();
    let (message, hint) = match text.split_once('\n') {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (text, None),
    };
    Failure { class, message, hint }
}

/// The failure of a workspace session.
pub(crate) fn workspace_failure(error: &WorkspaceError) -> Failure {
    Failure { class: FailureClass::Unavailable, message: error.to_string(), hint: None }
}

/// An error with everything that caused it, for the user.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// An IO failure of `what`.
pub(crate) fn io_failure(what: &str, error: &std::io::Error) -> Failure {
    Failure { class: FailureClass::Unavailable, message: format!("{what}: {error}"), hint: None }
}

/// The host ids pods act as, when this process is root.
pub(crate) fn acting_ids(ids: &PodIds) -> Option<(u32, u32)> {
    ids.base.map(|_| (ids.uid, ids.gid))
}
