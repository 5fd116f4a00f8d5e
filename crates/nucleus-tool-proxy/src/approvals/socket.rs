//! The approvals socket of a task: one line a question, one line an answer, for processes of the user's own and nobody
//! else.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use nucleus::{Answer, ApprovalBook, BreakGlassError, DecideError, Sandbox};
use nucleus_wire::approvals::{Ask, LINE_MAX_BYTES, RefusedCode, SOCKET, SOCKET_DIR, Told};

use crate::reception::{self, Reception, Refused};

/// A peer that says nothing for this long is hung up on.
const IDLE: Duration = Duration::from_secs(60);

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
        let listener = reception::bind(&dir, SOCKET)?;
        let desk = Desk { session: session.to_owned(), book: sandbox.approvals().clone() };
        let reception = Reception::new(desk, sandbox.recorder().clone());
        let (bell, over) = UnixStream::pair()?;
        let thread = std::thread::Builder::new()
            .name("approvals".to_owned())
            .spawn(move || reception.receive(&listener, Some(&over)))?;
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

impl reception::Desk for Desk {
    const EVENT: &'static str = "approvals_peer";

    fn refusal(why: &Refused) -> Vec<u8> {
        let code = match why {
            Refused::Peer(_) => RefusedCode::Peer,
            Refused::Crowded => RefusedCode::Crowded,
        };
        line(&refused(code, why)).unwrap_or_default()
    }

    fn serve(&self, stream: UnixStream) {
        let timeouts =
            stream.set_read_timeout(Some(IDLE)).and_then(|()| stream.set_write_timeout(Some(IDLE)));
        if timeouts.is_err() {
            return;
        }
        let mut reader = BufReader::new(&stream);
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
            if say(&stream, &told).is_err() {
                return;
            }
        }
    }
}

impl Desk {
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
    stream.write_all(&line(told)?)
}

fn line(told: &Told) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    Ok(line)
}
