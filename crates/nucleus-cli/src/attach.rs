//! `nucleus attach`, `nucleus stop` and the beginning of a detached task: this side of the socket in a session's directory.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nucleus_sandbox::workspace::{self, Session};
use nucleus_wire::control::{ATTACH_SOCKET, ENDING_FILE, FromProxy, Summary, ToProxy};
use rustix::fs::{Mode, OFlags};

use crate::args::{SessionArgs, SessionName};
use crate::environment::Environment;
use crate::events::{EventLoop, Output};
use crate::failure::CliFailure;
use crate::interactive::{Interactive, RawTerminal};
use crate::page::{json_line, print};
use crate::prompt::Prompt;
use crate::proxy::Proxy;
use crate::run::exit_code;
use crate::screen::{Screen, Verbosity};
use crate::sessions;
use crate::state::State;

/// How long a task may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// Largest first line or ending, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `nucleus attach`.
pub(crate) fn attach(args: &SessionName, env: &Environment) -> Result<u8, CliFailure> {
    let session = find(args.session.as_deref(), env)?;
    let Some(mut stream) = connect(session.dir()) else { return ended(&session, env) };
    let mut terminal = Prompt::open()
        .map(|prompt| RawTerminal::new(prompt.into_terminal()))
        .transpose()
        .map_err(|error| CliFailure::unavailable(format!("the terminal: {error}")))?;
    let facts = terminal.as_mut().map(|terminal| terminal.facts(env.asks_terminal()));
    let lost = |error: std::io::Error| CliFailure::unavailable(format!("the task: {error}"));
    // A task that refuses this very process says so before it reads: its answer counts, whatever became of ours.
    let written = send(&mut stream, &ToProxy::Attach { terminal: facts });
    let mut proxy = Proxy::attached(stream);
    let first = proxy.read_line().map_err(|error| lost(written.err().unwrap_or(error)))?;
    let screen = Screen::new(Verbosity::Normal, env);
    let message = match serde_json::from_slice(&first) {
        Ok(FromProxy::Failed(failure)) => return Err(CliFailure::from(failure)),
        Ok(message) => message,
        Err(error) => return Err(CliFailure::unavailable(format!("the task: {error}"))),
    };
    let at_terminal = matches!(&message, FromProxy::Started(started) if started.terminal);
    let summary = match (terminal, at_terminal) {
        (Some(terminal), true) => {
            Interactive::new(proxy, terminal, screen, true)?.attached(message)?
        }
        (None, true) => {
            return Err(CliFailure::usage(
                "the agent of this task works at a terminal, and there is none here",
            )
            .hint("attach from a terminal, or end it: nucleus stop"));
        }
        (terminal, false) => {
            drop(terminal);
            EventLoop::new(proxy, Output::Screen(screen), Prompt::open(), true)?
                .attached(message)?
        }
    };
    Ok(summary.as_ref().map_or(0, exit_code))
}

/// `nucleus stop`.
pub(crate) fn stop(args: &SessionArgs, env: &Environment) -> Result<u8, CliFailure> {
    let session = find(args.session.as_deref(), env)?;
    let id = session.id();
    let Some(mut stream) = connect(session.dir()) else {
        return Err(CliFailure::usage(format!("session {id} is not running")));
    };
    let failed = |error: std::io::Error| CliFailure::unavailable(format!("session {id}: {error}"));
    stream.set_read_timeout(Some(STOP_PATIENCE)).map_err(failed)?;
    // As above.
    let written = send(&mut stream, &ToProxy::Interrupt);
    let mut rest = Vec::new();
    // It closes its end when the task is over, and says something only when it does not do as it is told.
    let read = stream.take(LINE_BYTES_MAX).read_to_end(&mut rest);
    if let Ok(FromProxy::Failed(failure)) = serde_json::from_slice(&rest) {
        return Err(CliFailure::from(failure));
    }
    written.and(read).map_err(failed)?;
    let text = if args.json {
        json_line(&serde_json::json!({"session": id, "status": "stopped"}))
    } else {
        format!(
            "{id} stopped; its changes wait: nucleus review {id}, nucleus apply {id} or nucleus discard {id}\n"
        )
    };
    // A reader that closed the pipe has seen enough.
    let _gone = print(&text);
    Ok(0)
}

/// Starts a task that stays and goes away once its envelope stands. Without a screen, in JSON.
pub(crate) fn leave_behind(
    mut proxy: Proxy,
    start: &ToProxy,
    mut screen: Option<Screen>,
) -> Result<Option<Summary>, CliFailure> {
    let lost = |error: std::io::Error| {
        CliFailure::unavailable(format!("the enforcement process is gone: {error}"))
    };
    proxy.send(start).map_err(lost)?;
    loop {
        let line = proxy.read_line().map_err(lost)?;
        match serde_json::from_slice(&line) {
            Ok(FromProxy::Failed(failure)) => return Err(CliFailure::from(failure)),
            Ok(FromProxy::Started(started)) => {
                let id = &started.session;
                if let Some(screen) = &mut screen {
                    screen.started(&started);
                    screen.say(&format!(
                        "{id} goes on by itself: nucleus attach {id} shows it, nucleus stop {id} ends it"
                    ));
                } else {
                    // A reader that closed the pipe has seen enough.
                    let _gone = print(&json_line(&FromProxy::Started(started)));
                }
                return Ok(None);
            }
            Ok(_) => {}
            Err(error) => return Err(lost(error.into())),
        }
    }
}

/// The session named, or the latest that runs here, or the latest.
fn find(named: Option<&str>, env: &Environment) -> Result<Session, CliFailure> {
    let state = State::open(env)?;
    if let Some(id) = named {
        return workspace::find(&state.dir, id).map_err(|error| sessions::failed(&error));
    }
    let here = std::env::current_dir()
        .map_err(|error| CliFailure::usage(format!("the current directory: {error}")))?;
    let all = workspace::list(&state.dir).map_err(|error| sessions::failed(&error))?;
    let mut of_here: Vec<Session> = all
        .into_iter()
        .filter_map(Result::ok)
        .filter(|session| here.starts_with(&session.meta().workspace))
        .collect();
    let chosen = of_here.iter().position(Session::is_running).unwrap_or(0);
    if chosen < of_here.len() {
        return Ok(of_here.swap_remove(chosen));
    }
    Err(CliFailure::usage(format!("no session of {} is known", here.display()))
        .hint("name one, or go to the directory the task works on"))
}

/// What a task that is over left to say.
fn ended(session: &Session, env: &Environment) -> Result<u8, CliFailure> {
    let id = session.id();
    let over = || {
        CliFailure::usage(format!("session {id} is not running"))
            .hint(format!("what it did: nucleus review {id}"))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(session.dir().join(ENDING_FILE))
        .and_then(|file| file.take(LINE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|_| over())?;
    match serde_json::from_slice(&bytes) {
        Ok(FromProxy::Finished(summary)) => {
            Screen::new(Verbosity::Normal, env).summary(&summary);
            Ok(exit_code(&summary))
        }
        Ok(FromProxy::Failed(failure)) => Err(CliFailure::from(failure)),
        _ => Err(over()),
    }
}

/// The socket of a running task; `None` when nobody listens there.
fn connect(session_dir: &Path) -> Option<UnixStream> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let dir: OwnedFd = rustix::fs::open(session_dir, flags, Mode::empty()).ok()?;
    // By the directory's descriptor: the name of a socket is short, a session's directory need not be.
    UnixStream::connect(format!("/proc/self/fd/{}/{ATTACH_SOCKET}", dir.as_raw_fd())).ok()
}

fn send(stream: &mut UnixStream, message: &ToProxy) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}
