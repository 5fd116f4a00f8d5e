//! `nucleus run`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_wire::config::{AdminConfig, Config};
use nucleus_wire::control::{
    ApprovalMode, FailureClass, ModelUpstream, Payload, PolicySource, PolicyText, Resume, Summary,
    TaskSpec, ToProxy,
};
use nucleus_wire::{permissions, profile};

use crate::agent;
use crate::args::{Agent, Approvals, RunArgs};
use crate::consent;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::front::Front;
use crate::gc;
use crate::login;
use crate::provider;
use crate::proxy::{self, Proxy};
use crate::scope::Scope;
use crate::screen::{Screen, Verbosity};
use crate::settings;
use crate::state::{State, new_session_id};

/// How much of a policy file is read, in bytes: more than one may have, so that its parser says so.
const POLICY_BYTES_READ: u64 = 1024 * 1024;
/// Largest script, in bytes.
const TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Files that a task may well have open.
const OPEN_FILES: u64 = 4_096;
/// Largest key file read, in bytes.
const KEY_BYTES_MAX: u64 = 16 * 1024;

/// Runs an agent in its own terminal interface; what follows `--` is for the agent.
pub(crate) fn interactive(
    agent: Agent,
    mut args: RunArgs,
    env: &Environment,
) -> Result<u8, CliFailure> {
    args.agent = Some(agent);
    args.interactive = true;
    args.agent_args.append(&mut args.command);
    run(args, env)
}

/// Runs the task and returns the exit code.
pub(crate) fn run(args: RunArgs, env: &Environment) -> Result<u8, CliFailure> {
    raise_open_files();
    let state = State::open(env)?;
    let (admin, admin_text) = settings::admin(&state)?;
    let config = settings::user(&state)?.or(&admin.settings);
    let scope = match &args.workspace {
        Some(named) => Scope::whole(workspace(Some(named))?),
        None => Scope::around(workspace(None)?, env),
    };
    let mut front = Front::of(&args)?;
    let approvals = approvals(args.approvals, &config, &front)?;
    if approvals != ApprovalMode::Terminal {
        front = front.unasked();
    }
    let payload = payload(&args, env, &config)?;
    let policy = policy(args.profile.as_deref(), args.config.as_deref(), &config)?;
    let (model, key) = model(&args, env, &config, &state)?;
    let (webhook, webhook_key) = settings::webhook(&config, env)?.unzip();
    let spec = TaskSpec {
        session: new_session_id()?,
        state_dir: state.dir.clone(),
        protected: state.protected(),
        workspace: scope.workspace,
        within: scope.within,
        payload,
        policy,
        ceilings: admin_text.into_iter().collect(),
        allow_local_driver: allow_local(args.allow_local_driver, &config, &admin, &state)?,
        review: args.review,
        approvals,
        webhook,
        model,
        timeout_s: args.timeout,
        publish: args.publish.clone(),
        terminal: front.terminal(&args, env),
        detached: args.detach,
        packages: settings::package_sources(&config, env),
        bin_dir: proxy::bin_dir()?,
        host_env: settings::host_environment(env),
    };
    let program = proxy::companion(&spec.bin_dir, "nucleus-tool-proxy")?;
    proxy::companion(&spec.bin_dir, "nucleus-mcp")?;
    let quiet = args.quiet || config.quiet == Some(true);
    let verbosity = if quiet { Verbosity::Quiet } else { Verbosity::Normal };
    let room = gc::beside(&state, &config);
    let handed: Vec<_> = webhook_key.into_iter().map(|fd| ("--webhook-key-fd", fd)).collect();
    let proxy = Proxy::start(&program, key, &handed, args.detach)?;
    let result =
        front.show(proxy, &ToProxy::Start(Box::new(spec)), &args, Screen::new(verbosity, env));
    if let Some(text) = gc::end(room, &state, result.is_ok())
        && !args.json
        && !quiet
    {
        Screen::new(Verbosity::Normal, env).say(&format!("  note      {text}"));
    }
    Ok(result?.as_ref().map_or(0, exit_code))
}

/// A task opens more files than some shells allow at once; up to the hard limit that is this process's own affair.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    if limit.current.is_some_and(|now| now < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        // Where it cannot be raised, whatever needs it says so.
        let _kept = setrlimit(Resource::Nofile, raised);
    }
}

/// The payload's own code, or what ended it.
pub(crate) fn exit_code(summary: &Summary) -> u8 {
    match (summary.ending.as_str(), summary.exit_code) {
        ("interrupted", _) => FailureClass::Interrupted.exit_code(),
        ("timed_out", _) => 124,
        (_, Some(code)) => u8::try_from(code & 0xff).unwrap_or(1),
        (_, None) => 137,
    }
}

/// The directory as named. Links on the way to it are resolved as the system resolves them; that its own name is no link
/// is for the enforcement side to see.
pub(crate) fn workspace(named: Option<&Path>) -> Result<PathBuf, CliFailure> {
    let Some(dir) = named else {
        // The kernel's own answer: no link in it, whatever PWD says.
        return std::env::current_dir()
            .map_err(|error| CliFailure::usage(format!("the current directory: {error}")));
    };
    let failed = |error: std::io::Error| {
        CliFailure::usage(format!("--workspace {}: {error}", dir.display()))
    };
    let absolute = std::path::absolute(dir).map_err(failed)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => match std::fs::canonicalize(parent) {
            Ok(parent) => Ok(parent.join(name)),
            Err(_) => Ok(absolute), // refused as missing, by its name
        },
        // `..` and `/` have no name that could be a link.
        _ => std::fs::canonicalize(&absolute).map_err(failed),
    }
}

fn payload(args: &RunArgs, env: &Environment, config: &Config) -> Result<Payload, CliFailure> {
    if !args.command.is_empty() {
        return Ok(Payload::Command { argv: args.command.clone() });
    }
    let prompt = args.task.clone().unwrap_or_default();
    if prompt.trim().is_empty() && !args.interactive {
        return Err(
            CliFailure::usage("the task is empty").hint("say in words what the agent should do")
        );
    }
    let agent = agent::choose(args.agent, config.agent.as_deref(), env)?;
    let input = args.script.as_deref().map(|path| read_text(path, TEXT_BYTES_MAX)).transpose()?;
    let found = agent::find(agent, env)?;
    Ok(Payload::Agent {
        agent: agent.name().to_owned(),
        program: found.program,
        package: found.package,
        interpreter: found.interpreter,
        model: args.model.as_deref().map(|name| word("--model", name)).transpose()?,
        resume: resume(agent, args)?,
        extra_args: args.agent_args.clone(),
        prompt,
        input,
    })
}

fn resume(agent: Agent, args: &RunArgs) -> Result<Option<Resume>, CliFailure> {
    if agent == Agent::Scripted && (args.go_on || args.resume.is_some()) {
        return Err(CliFailure::usage("a scripted agent has no conversations to go on with")
            .hint("leave --continue and --resume out"));
    }
    match &args.resume {
        Some(id) => Ok(Some(Resume::Id(word("--resume", id)?))),
        None => Ok(args.go_on.then_some(Resume::Latest)),
    }
}

/// A name that an agent cannot take for anything else.
fn word(flag: &str, text: &str) -> Result<String, CliFailure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !text.is_empty() && text.len() <= 200 && !text.starts_with('-') && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(CliFailure::usage(format!("{flag}: not a name"))
        .hint("letters, digits and - _ . : / @, and no - at its beginning"))
}

/// The policy named on the command line or in the configuration.
pub(crate) fn policy(
    profile: Option<&str>,
    file: Option<&Path>,
    config: &Config,
) -> Result<PolicySource, CliFailure> {
    if let Some(path) = file {
        let remedy =
            "name a permissions.toml, or choose a profile: --profile NAME (see `nucleus profiles`)";
        let bytes = read_start(path, POLICY_BYTES_READ).map_err(|failure| failure.hint(remedy))?;
        let name = path.display().to_string();
        // The enforcement side parses it again; here the user hears about it before anything else is asked.
        permissions::parse(&name, &bytes)
            .map_err(|errors| CliFailure::policy(errors.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| CliFailure::policy(format!("{name}: {error}")))?;
        return Ok(PolicySource::File(PolicyText {
            name,
            path: std::path::absolute(path).ok(),
            text,
        }));
    }
    let name = profile
        .map(str::to_owned)
        .or_else(|| config.default_profile.clone())
        .unwrap_or_else(|| profile::DEFAULT_PROFILE.to_owned());
    if profile::by_name(&name).is_none() {
        let near = profile::nearest(&name)
            .map(|near| format!("did you mean {near:?}? "))
            .unwrap_or_default();
        return Err(CliFailure::usage(format!("no profile is named {name:?}"))
            .hint(format!("{near}see `nucleus profiles`")));
    }
    Ok(PolicySource::Profile { name })
}

/// Whether the user accepted the local driver.
pub(crate) fn allow_local(
    asked: bool,
    config: &Config,
    admin: &AdminConfig,
    state: &State,
) -> Result<bool, CliFailure> {
    let asked = asked || config.allow_local_driver == Some(true);
    if asked && admin.forbid.local_driver {
        return Err(CliFailure::isolation(
            "the administrator of this machine forbids the local driver",
        )
        .hint(
            "it is the only driver of this version; ask the administrator, or use another machine",
        ));
    }
    if asked { Ok(true) } else { Err(consent::missing(state, admin.forbid.local_driver)) }
}

/// The flag decides; without it the configuration, as far as there is somebody for what it says.
fn approvals(
    flag: Option<Approvals>,
    config: &Config,
    front: &Front,
) -> Result<ApprovalMode, CliFailure> {
    let human = front.has_human();
    match (flag, config.approvals) {
        (Some(Approvals::Terminal), _) if !human => Err(CliFailure::usage(
            "--approvals terminal: there is no terminal to ask at",
        )
        .hint(
            "park what needs approval and answer it with `nucleus approvals`: --approvals socket",
        )),
        (Some(Approvals::Terminal), _) => Ok(ApprovalMode::Terminal),
        (Some(Approvals::Socket), _) | (None, Some(ApprovalMode::Socket)) => {
            Ok(ApprovalMode::Socket)
        }
        (Some(Approvals::None), _) | (None, Some(ApprovalMode::None)) => Ok(ApprovalMode::None),
        (None, Some(ApprovalMode::Terminal) | None) if human => Ok(ApprovalMode::Terminal),
        // Somebody who leaves a task running means to come back to it.
        (None, Some(ApprovalMode::Terminal) | None) if front.is_left() => Ok(ApprovalMode::Socket),
        (None, Some(ApprovalMode::Terminal) | None) => Ok(ApprovalMode::None),
    }
}

/// The upstream of an agent's model calls and the key for it, which travels in a sealed memory file of its own.
fn model(
    args: &RunArgs,
    env: &Environment,
    config: &Config,
    state: &State,
) -> Result<(Option<ModelUpstream>, Option<OwnedFd>), CliFailure> {
    if !args.command.is_empty() {
        return Ok((None, None));
    }
    let agent = agent::choose(args.agent, config.agent.as_deref(), env)?;
    let provider = provider::of(agent, args, env)?;
    let key = match &args.model_key_file {
        Some(path) => Some(read_limited(path, KEY_BYTES_MAX)?),
        None => env.first(provider.key_names()).map(String::into_bytes),
    };
    // A key that is named or set says more than a login that was made some day.
    let login = match key {
        None => login::for_provider(state, provider.name()),
        Some(_) => None,
    };
    let subscribed = login.as_ref().and_then(|(subscription, _)| subscription.base_url());
    let base_url = provider.base_url(
        args.model_upstream.as_deref(),
        config.upstream.as_deref(),
        subscribed,
        env,
    );
    let own_machine = base_url.starts_with("http://");
    let unpaid = key.is_none() && login.is_none() && !own_machine;
    if unpaid && agent != Agent::Scripted {
        let name = provider.key_names().first().copied().unwrap_or_default();
        return Err(CliFailure::usage(format!("no model key: {name} is not set"))
            .hint(format!("export {name}=…, or name a file: --model-key-file FILE, or use a subscription: nucleus login claude|codex\nthe key stays outside the sandbox; the agent gets a placeholder")));
    }
    if unpaid {
        return Ok((None, None)); // a scripted agent that calls no model
    }
    let fd = match &key {
        Some(bytes) => Some(nucleus_sys::memfd::sealed(bytes).map_err(|error| {
            CliFailure::unavailable(format!("cannot hold the key in memory: {error}"))
        })?),
        None => None,
    };
    let upstream = ModelUpstream {
        provider: provider.name().to_owned(),
        base_url,
        key: fd.is_some(),
        login: login.map(|(_, path)| path),
        https_proxy: env.first(&["HTTPS_PROXY", "https_proxy"]),
        no_proxy: env.first(&["NO_PROXY", "no_proxy"]),
        extra_roots: env.first(&["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]).map(PathBuf::from),
        prices: settings::prices(config)?,
    };
    Ok((Some(upstream), fd))
}

pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, CliFailure> {
    String::from_utf8(read_limited(path, bytes_max)?).map_err(|error| {
        CliFailure::policy(format!(
            "{}: not UTF-8 at byte {}",
            path.display(),
            error.utf8_error().valid_up_to()
        ))
    })
}

pub(crate) fn read_limited(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliFailure> {
    let bytes = read_start(path, bytes_max.saturating_add(1))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(CliFailure::usage(format!(
            "{} is larger than {bytes_max} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The first bytes of a regular file. A FIFO is not waited for.
fn read_start(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliFailure> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error: std::io::Error| {
        CliFailure::usage(format!("cannot read {}: {error}", path.display()))
    };
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file =
        std::fs::File::options().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(CliFailure::usage(format!("{} is not a regular file", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
