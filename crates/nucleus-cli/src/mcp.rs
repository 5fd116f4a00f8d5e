//! `nucleus mcp`: the tools for clients outside of any sandbox.

mod config;
mod http;
mod stdio;

use std::os::unix::net::UnixStream;

use nucleus_wire::control::{ApprovalMode, Payload, TaskSpec, ToProxy};

use self::http::Http;
use crate::args::{McpArgs, McpCommand, McpServeArgs};
use crate::environment::Environment;
use crate::events::{EventLoop, Output};
use crate::failure::CliFailure;
use crate::proxy::{self, Proxy};
use crate::screen::{Screen, Verbosity};
use crate::state::{State, new_session_id};
use crate::{run, settings};

/// Runs the subcommand and returns the exit code.
pub(crate) fn run(args: McpArgs, env: &Environment) -> Result<u8, CliFailure> {
    match args.command {
        McpCommand::Serve(args) => serve(&args, env),
        McpCommand::Config(args) => config::print(&args),
    }
}

fn serve(serve: &McpServeArgs, env: &Environment) -> Result<u8, CliFailure> {
    let args = &serve.start;
    let http = match (serve.http, &serve.token_file) {
        (Some(address), Some(file)) => Some(Http::open(address, file)?),
        _ => None,
    };
    let state = State::open(env)?;
    let (admin, admin_text) = settings::admin(&state)?;
    let config = settings::user(&state)?.or(&admin.settings);
    let policy = run::policy(args.profile.as_deref(), args.config.as_deref(), &config)?;
    let spec = TaskSpec {
        session: new_session_id()?,
        state_dir: state.dir.clone(),
        protected: state.protected(),
        workspace: run::workspace(args.workspace.as_deref())?,
        within: String::new(),
        payload: Payload::Client { permission_prompt: args.permission_prompt },
        policy,
        ceilings: admin_text.into_iter().collect(),
        allow_local_driver: run::allow_local(args.allow_local_driver, &config, &admin, &state)?,
        review: args.review,
        // The client runs as this user: whatever this user may answer, it could answer itself.
        approvals: ApprovalMode::None,
        webhook: None,
        model: None,
        timeout_s: None,
        publish: Vec::new(),
        terminal: None,
        detached: false,
        packages: settings::package_sources(&config, env),
        bin_dir: proxy::bin_dir()?,
        host_env: settings::host_environment(env),
    };
    let program = proxy::companion(&spec.bin_dir, "nucleus-tool-proxy")?;
    let mut screen = Screen::new(Verbosity::Quiet, env);
    let place = http.as_ref().map(|http| format!(" at {}", http.url)).unwrap_or_default();
    screen.say(&format!(
        "nucleus mcp: session {}{place}; only tool calls are enforced, what the client does by other means is not",
        spec.session
    ));
    let unavailable =
        |error: std::io::Error| CliFailure::unavailable(format!("cannot serve: {error}"));
    let (ours, theirs) = UnixStream::pair().map_err(unavailable)?;
    let mut handed = vec![("--client-fd", theirs.into())];
    let by_stdio = http.is_none();
    if let Some(http) = http {
        handed.extend([("--listen-fd", http.listener), ("--token-fd", http.token)]);
    }
    let proxy = Proxy::start(&program, None, &handed, false)?;
    // The proxy has its own.
    drop(handed);
    if by_stdio {
        stdio::relay(&ours).map_err(unavailable)?;
    }
    let events = EventLoop::new(proxy, Output::Screen(screen), None, false)?.ending_with(ours);
    let summary = events.run(&ToProxy::Start(Box::new(spec)))?;
    Ok(summary.as_ref().map_or(0, run::exit_code))
}
