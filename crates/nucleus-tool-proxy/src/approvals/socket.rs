//! The approvals socket of a task: one line a question, one line an answer, for processes of the user's own and nobody
//! else.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nucleus::{Answer, ApprovalBook, BreakGlassError, DecideError, Recorder, Sandbox};
use nucleus_sys::peer::{PeerError, require_own};
use nucleus_wire::approvals::{Ask, LINE_MAX_BYTES, RefusedCode, SOCKET, SOCKET_DIR, Told};

/// Peers served at a time.
const PEERS_MAX: usize = 16;
/// A peer that says nothing for this long is hung up on.
const IDLE: Duration = Duration::from_secs(60);
/// How long a refused peer's last words, or descriptors that have run out, are waited for.
const GLANCE: Duration = Duration::from_millis(200);
/// Refused peers written to the log one by one; the rest are only refused.
const REFUSED_PEERS_RECORDED: usize = 20;

/// The socket while the task runs. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    /// Closing it tells the listener's thread that the task is over.
    bell: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// What every peer is served with.
#[derive(Clone)]
struct Desk {
    session: String,
    book: ApprovalBook,
    recorder: Recorder,
    peers: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Socket {
    /// Opens the socket beneath `session_dir` and serves it on threads of its own.
    ///
    /// # Errors
    /// The host gives no socket or no thread.
    pub(crate) fn open(
        session_dir: &Path,
        session: &str,
        sandbox: &Sandbox,
    ) -> std::io::Result<Self> {
        let dir = session_dir.join(SOCKET_DIR);
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&dir)?;
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
        let path = dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = bind(&dir)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let desk = Desk {
            session: session.to_owned(),
            book: sandbox.approvals().clone(),
            recorder: sandbox.recorder().clone(),
            peers: Arc::default(),
            refused: Arc::default(),
        };
        let (bell, over) = UnixStream::pair()?;
        let thread = std::thread::Builder::new()
            .name("approvals".to_owned())
            .spawn(move || accept(&listener, &desk, &over))?;
        Ok(Self { path, bell: Some(bell), thread: Some(thread) })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        drop(self.bell.take());
        // A socket nobody listens at refuses by itself; removing it only says so sooner.
        let _gone = std::fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Binds by way of a descriptor: a state directory may have a path longer than a socket address holds.
fn bind(dir: &Path) -> std::io::Result<UnixListener> {
    let held = std::fs::File::open(dir)?;
    UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", held.as_fd().as_raw_fd()))
}

/// Serves peers until the other end of `over` is closed.
fn accept(listener: &UnixListener, desk: &Desk, over: &UnixStream) {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut waiting = [PollFd::new(listener, PollFlags::IN), PollFd::new(over, PollFlags::IN)];
        // Interrupted, or short of memory for a moment.
        if poll(&mut waiting, None).is_err() {
            std::thread::sleep(GLANCE);
            continue;
        }
        let [_, over] = &waiting;
        if !over.revents().is_empty() {
            return;
        }
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely: it stays ready, so do not spin.
            std::thread::sleep(GLANCE);
            continue;
        };
        if desk.peers.fetch_add(1, Ordering::SeqCst) >= PEERS_MAX {
            desk.peers.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let served = desk.clone();
        let thread = std::thread::Builder::new().name("approvals-peer".to_owned());
        let begun = thread.spawn(move || {
            served.serve(&stream);
            served.peers.fetch_sub(1, Ordering::SeqCst);
        });
        if begun.is_err() {
            desk.peers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Desk {
    fn serve(&self, stream: &UnixStream) {
        let timeouts =
            stream.set_read_timeout(Some(IDLE)).and_then(|()| stream.set_write_timeout(Some(IDLE)));
        if timeouts.is_err() {
            return;
        }
        // Before a byte of it is read.
        if let Err(error) = require_own(stream) {
            self.record_refused_peer(&error);
            let message = format!(
                "{error}; only the user who started the task may answer, from outside of every sandbox and container"
            );
            let _gone = say(stream, &Told::Refused { code: RefusedCode::Peer, message });
            // What it had to say is taken from the socket and looked at by nobody: closing over it would take the refusal
            // back.
            let _unread = stream.set_read_timeout(Some(GLANCE)).and_then(|()| {
                let mut stream = stream;
                stream.read(&mut [0_u8; 4096])
            });
            return;
        }
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let told = match serde_json::from_slice::<Ask>(&line) {
                Ok(ask) => self.answer(ask),
                Err(error) => refused(RefusedCode::Malformed, &error),
            };
            if say(stream, &told).is_err() {
                return;
            }
        }
    }

    fn answer(&self, ask: Ask) -> Told {
        let session = self.session.clone();
        match ask {
            Ask::List => Told::Requests { session, requests: self.book.requests() },
            Ask::Show { id } => match self.book.request(&id) {
                Some(request) => Told::Request { session, request: Box::new(request) },
                None => decide_refused(&DecideError::Unknown),
            },
            Ask::Decide { id, approve, reason, similar } => {
                let answer = match (approve, similar) {
                    (true, Some(similar)) => Answer::approve_similar("socket", similar),
                    (true, None) => Answer::approve("socket"),
                    (false, _) => Answer::refuse("socket", reason),
                };
                match self.book.decide(&id, answer) {
                    Ok(rule) => Told::Decided { id, outcome: outcome(approve), rule },
                    Err(error) => decide_refused(&error),
                }
            }
            Ask::Rules => Told::Rules { session, rules: self.book.rules() },
            Ask::Revoke { rule } => match self.book.revoke(&rule) {
                Ok(true) => Told::Revoked { rule },
                Ok(false) => refused(RefusedCode::Unknown, &"no rule of this task has this id"),
                Err(error) => refused(RefusedCode::Unrecorded, &error),
            },
            Ask::Challenge => match self.book.challenge() {
                Ok(challenge) => Told::Challenge { session, challenge },
                Err(error) => refused(RefusedCode::Unrecorded, &error),
            },
            Ask::BreakGlass(demand) => match self.book.break_glass(&demand) {
                Ok(rule) => Told::Open { rule, seconds: demand.seconds },
                Err(BreakGlassError::Unrecorded) => {
                    refused(RefusedCode::Unrecorded, &BreakGlassError::Unrecorded)
                }
                Err(error) => refused(RefusedCode::Proof, &error),
            },
            Ask::Answer { document } => match self.book.answer(&document) {
                Ok((id, approved)) => Told::Decided { id, outcome: outcome(approved), rule: None },
                Err(nucleus::AnswerRefused::Decide(error)) => decide_refused(&error),
                Err(error) => refused(RefusedCode::Proof, &error),
            },
        }
    }

    fn record_refused_peer(&self, error: &PeerError) {
        if self.refused.fetch_add(1, Ordering::SeqCst) >= REFUSED_PEERS_RECORDED {
            return;
        }
        let mut event = self.recorder.event("approvals_peer");
        event.result = Some("denied".to_owned());
        event.target = Some(error.to_string());
        // It is refused whether or not the log takes it.
        let _ = self.recorder.note(&event);
    }
}

fn outcome(approved: bool) -> String {
    if approved { "granted" } else { "refused" }.to_owned()
}

fn decide_refused(error: &DecideError) -> Told {
    let code = match error {
        DecideError::Unknown => RefusedCode::Unknown,
        DecideError::Settled(_) => RefusedCode::Settled,
        DecideError::Rule(_) => RefusedCode::Rule,
        _ => RefusedCode::Unrecorded,
    };
    refused(code, error)
}

fn refused(code: RefusedCode, message: &dyn std::fmt::Display) -> Told {
    Told::Refused { code, message: message.to_string() }
}

fn say(mut stream: &UnixStream, told: &Told) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    stream.write_all(&line)
}
