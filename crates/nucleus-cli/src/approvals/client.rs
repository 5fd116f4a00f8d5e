//! The user's end of the approvals sockets: finds running tasks and asks them.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_log::{Keys, approval_history};
use nucleus_sandbox::workspace::{self, Session};
use nucleus_wire::approvals::{
    Ask, LINE_MAX_BYTES, RefusedCode, RequestView, SOCKET, SOCKET_DIR, Told,
};
use nucleus_wire::display::{escape, escape_short};

use crate::failure::CliFailure;
use crate::state::State;

/// A task answers at once, or is as good as gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a task that ends needs at most to close its sockets.
const MOMENT: Duration = Duration::from_millis(100);
/// Sessions that are over and looked at for an id that no running task knows, newest first.
const ENDED_SESSIONS_MAX: usize = 20;

/// A running task.
#[derive(Debug)]
pub(crate) struct Task {
    /// Its session.
    pub session: String,
    /// Where its socket is.
    place: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Task {
    /// Asks one question.
    pub(crate) fn ask(&mut self, ask: &Ask) -> Result<Told, CliFailure> {
        self.exchange(ask)?.map_err(|error| {
            CliFailure::unavailable(format!(
                "the task of session {} is gone: {error}",
                self.session
            ))
        })
    }

    /// One question and its answer; an error within is the socket's.
    fn exchange(&mut self, ask: &Ask) -> Result<std::io::Result<Told>, CliFailure> {
        let mut line = serde_json::to_vec(ask)
            .map_err(|error| CliFailure::internal(format!("a question: {error}")))?;
        line.push(b'\n');
        // A task that refuses this very process says so before it reads: its answer counts, whatever became of ours.
        let written = self.stream.get_mut().write_all(&line);
        line.clear();
        let limit = LINE_MAX_BYTES.saturating_mul(16);
        match self.stream.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => {
                let closed = || ErrorKind::UnexpectedEof.into();
                return Ok(Err(written.err().unwrap_or_else(closed)));
            }
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
        let told = serde_json::from_slice(&line)
            .map_err(|error| CliFailure::internal(format!("an answer of the task: {error}")))?;
        match told {
            Told::Refused { code, message } => Err(refused(code, &message)),
            told => Ok(Ok(told)),
        }
    }

    /// One request with all of its rendering.
    pub(crate) fn request(&mut self, id: &str) -> Result<RequestView, CliFailure> {
        match self.ask(&Ask::Show { id: id.to_owned() })? {
            Told::Request { request, .. } => Ok(*request),
            _ => Err(unexpected()),
        }
    }

    /// Its requests, oldest first, each with the beginning of its rendering; none of a task that ends meanwhile.
    pub(crate) fn requests(&mut self) -> Result<Vec<RequestView>, CliFailure> {
        match self.exchange(&Ask::List)? {
            Ok(Told::Requests { requests, .. }) => Ok(requests),
            Ok(_) => Err(unexpected()),
            Err(error) if closed(error.kind()) && self.is_over() => Ok(Vec::new()),
            Err(error) => Err(CliFailure::unavailable(format!(
                "the task of session {} does not answer: {error}",
                self.session
            ))),
        }
    }

    /// True when nobody listens at its socket any more. A task that ends closes that and its connections in no
    /// particular order, so it has a moment to do both.
    fn is_over(&self) -> bool {
        std::thread::sleep(MOMENT);
        dial(&self.place).is_err()
    }
}

fn closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// An answer to another question than the one that was asked.
pub(crate) fn unexpected() -> CliFailure {
    CliFailure::internal("the task answered another question")
}

fn refused(code: RefusedCode, message: &str) -> CliFailure {
    let message = escape(message);
    match code {
        RefusedCode::Unknown | RefusedCode::Malformed | RefusedCode::Rule => {
            CliFailure::usage(message)
        }
        RefusedCode::Peer | RefusedCode::Settled | RefusedCode::Proof => {
            CliFailure::denied(message)
        }
        RefusedCode::Crowded | RefusedCode::Unrecorded => CliFailure::unavailable(message),
    }
}

/// The tasks that run now; only the named one, when one is named.
pub(crate) fn tasks(state: &State, named: Option<&str>) -> Result<Vec<Task>, CliFailure> {
    let sessions = match named {
        Some(id) => {
            vec![workspace::find(&state.dir, id).map_err(|e| CliFailure::usage(e.to_string()))?]
        }
        None => sessions(state)?,
    };
    let tasks: Vec<Task> = sessions.iter().filter_map(connect).collect();
    if tasks.is_empty()
        && let (Some(_), Some(session)) = (named, sessions.first())
    {
        return Err(CliFailure::usage(format!(
            "the task of session {} does not run",
            session.id()
        ))
        .hint("see what runs: nucleus approvals list"));
    }
    Ok(tasks)
}

fn sessions(state: &State) -> Result<Vec<Session>, CliFailure> {
    let found = workspace::list(&state.dir).map_err(|e| CliFailure::unavailable(e.to_string()))?;
    // A damaged session has no task that could ask.
    Ok(found.into_iter().filter_map(Result::ok).collect())
}

/// The task's socket, if it has one and listens at it.
fn connect(session: &Session) -> Option<Task> {
    let dir = session.dir().join(SOCKET_DIR);
    let stream = dial(&dir).ok()?;
    let timeouts = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    timeouts.ok()?;
    Some(Task { session: session.id().to_owned(), place: dir, stream: BufReader::new(stream) })
}

/// By way of a descriptor: a state directory may have a path longer than a socket address holds.
fn dial(dir: &Path) -> std::io::Result<UnixStream> {
    let held = std::fs::File::open(dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", held.as_fd().as_raw_fd()))
}

/// The task that has the request, and the request. Of several with the same id the one that waits.
pub(crate) fn find(
    state: &State,
    id: &str,
    named: Option<&str>,
) -> Result<(Task, RequestView), CliFailure> {
    let mut found = Vec::new();
    for mut task in tasks(state, named)? {
        let requests = task.requests()?;
        found.extend(requests.into_iter().find(|r| r.view.id == id).map(|request| (task, request)));
    }
    if found.len() > 1 {
        found.retain(|(_, request)| request.state == "pending");
    }
    if found.len() > 1 {
        let sessions: Vec<&str> = found.iter().map(|(task, _)| task.session.as_str()).collect();
        return Err(CliFailure::usage(format!("several tasks have a request {}", escape(id)))
            .hint(format!("name one: --session {}", sessions.join(" or --session "))));
    }
    match found.pop() {
        Some(found) => Ok(found),
        None => Err(ended(state, id)?.unwrap_or_else(|| unknown(id))),
    }
}

fn unknown(id: &str) -> CliFailure {
    CliFailure::usage(format!("no task of yours has a request {}", escape_short(id, 40)))
        .hint("see what waits: nucleus approvals list")
}

/// What a log of an ended task says of the id. A task that runs says itself what it has.
fn ended(state: &State, id: &str) -> Result<Option<CliFailure>, CliFailure> {
    let keys = Keys::load_or_create(&state.dir.join("keys"))
        .map_err(|error| CliFailure::unavailable(error.to_string()))?
        .verify_keys()
        .map_err(|error| CliFailure::internal(error.to_string()))?;
    let mut sessions = sessions(state)?;
    sessions.sort_by(|a, b| b.id().cmp(a.id()));
    let over = sessions.iter().filter(|session| connect(session).is_none());
    for session in over.take(ENDED_SESSIONS_MAX) {
        // A log that cannot be read or does not verify says nothing.
        let Ok(history) = approval_history(&session.log_path(), &keys) else { continue };
        if let Some(request) = history.requests.get(id) {
            let message = format!(
                "request {} was {}, and the task of session {} is over",
                escape_short(id, 40),
                escape_short(&request.state, 40),
                session.id()
            );
            return Ok(Some(CliFailure::denied(message)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn task(place: &Path) -> (UnixStream, Task) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let stream = BufReader::new(ours);
        (theirs, Task { session: "s".to_owned(), place: place.to_owned(), stream })
    }

    #[test]
    fn a_task_that_ends_in_mid_question_has_no_requests_and_others_are_told_of() {
        let place = tempfile::tempdir().unwrap();
        let (theirs, mut over) = task(place.path());
        drop(theirs);
        assert_eq!(over.requests().unwrap().len(), 0);
        assert!(over.request("ab12").is_err());
        let told = |mut task: Task| {
            let failure = task.requests().unwrap_err();
            assert!(format!("{failure:?}").contains("does not answer"), "{failure:?}");
        };
        let (_theirs, silent) = task(place.path());
        told(silent);
        // One that goes on and hung up all the same may have a question open.
        let _listener = UnixListener::bind(place.path().join(SOCKET)).unwrap();
        let (theirs, hung_up) = task(place.path());
        drop(theirs);
        told(hung_up);
    }
}
