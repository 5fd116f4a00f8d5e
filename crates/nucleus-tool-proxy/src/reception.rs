//! The one way in for processes of the user's that come to a running task: whoever connects is looked at before a byte
//! of it is read, is counted, and finds the listener there as long as the task is.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nucleus::Recorder;
use nucleus_sys::peer::{PeerError, require_own};

/// Peers served at a time.
const PEERS_MAX: usize = 16;
/// How long a refused peer's last words, or descriptors that have run out, are waited for.
const GLANCE: Duration = Duration::from_millis(200);
/// Refused peers written to the log one by one; the rest are only refused.
const REFUSED_PEERS_RECORDED: usize = 20;

/// What is behind a socket.
pub(crate) trait Desk: Clone + Send + 'static {
    /// Type of the entry about a peer that was refused.
    const EVENT: &'static str;

    /// The line that tells a peer why it is not served.
    fn refusal(refused: &Refused) -> Vec<u8>;

    /// Serves a peer that is one of the user's own, to its end.
    fn serve(&self, stream: UnixStream);
}

/// Why a peer is not served.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not one of the user's own.
    Peer(PeerError),
    /// Too many are here already.
    Crowded,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Short of descriptors, or it is gone: no word about who it is.
            Self::Peer(error @ PeerError::Io(cause)) => write!(f, "{error}: {cause}"),
            Self::Peer(error) => write!(
                f,
                "{error}; only the user who started the task may come here, from outside of every sandbox and container"
            ),
            Self::Crowded => {
                write!(f, "{PEERS_MAX} other processes are connected to this task already")
            }
        }
    }
}

/// A desk with what watches its way in.
#[derive(Clone)]
pub(crate) struct Reception<D> {
    desk: D,
    recorder: Recorder,
    peers: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

/// Binds `name` in `dir`, for the user alone.
///
/// # Errors
/// The host gives no socket there.
pub(crate) fn bind(dir: &Path, name: &str) -> std::io::Result<UnixListener> {
    // By the directory's descriptor: the name of a socket is short, a session's directory need not be.
    let held = std::fs::File::open(dir)?;
    let listener =
        UnixListener::bind(format!("/proc/self/fd/{}/{name}", held.as_fd().as_raw_fd()))?;
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl<D: Desk> Reception<D> {
    /// A reception before this desk.
    pub(crate) fn new(desk: D, recorder: Recorder) -> Self {
        Self { desk, recorder, peers: Arc::default(), refused: Arc::default() }
    }

    /// Receives peers until the other end of `over` is closed; without one, for as long as the process lives.
    pub(crate) fn receive(&self, listener: &UnixListener, over: Option<&UnixStream>) {
        while !over.is_some_and(|over| is_over(listener, over)) {
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                // Out of descriptors, or gone before it was accepted: the next one may fare better, so go on, but do
                // not spin.
                Err(_) => std::thread::sleep(GLANCE),
            }
        }
    }

    fn admit(&self, stream: UnixStream) {
        if self.peers.fetch_add(1, Ordering::SeqCst) >= PEERS_MAX {
            self.peers.fetch_sub(1, Ordering::SeqCst);
            // Nothing was written to it before: this does not wait.
            let _gone = (&stream).write_all(&D::refusal(&Refused::Crowded));
            return;
        }
        let served = self.clone();
        let thread = std::thread::Builder::new().name("peer".to_owned());
        let begun = thread.spawn(move || {
            let peers = Arc::clone(&served.peers);
            served.meet(stream);
            peers.fetch_sub(1, Ordering::SeqCst);
        });
        if begun.is_err() {
            self.peers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn meet(&self, stream: UnixStream) {
        // Before a byte of it is read.
        match require_own(&stream) {
            Ok(()) => self.desk.serve(stream),
            Err(error) => {
                self.record(&error);
                refuse(&stream, &D::refusal(&Refused::Peer(error)));
            }
        }
    }

    fn record(&self, error: &PeerError) {
        if self.refused.fetch_add(1, Ordering::SeqCst) >= REFUSED_PEERS_RECORDED {
            return;
        }
        let mut event = self.recorder.event(D::EVENT);
        event.result = Some("denied".to_owned());
        event.target = Some(error.to_string());
        // It is refused whether or not the log takes it.
        let _ = self.recorder.note(&event);
    }
}

/// Waits for a peer or for the end.
fn is_over(listener: &UnixListener, over: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut waiting = [PollFd::new(listener, PollFlags::IN), PollFd::new(over, PollFlags::IN)];
        // Interrupted, or short of memory for a moment.
        if poll(&mut waiting, None).is_err() {
            std::thread::sleep(GLANCE);
            continue;
        }
        let [_, over] = &waiting;
        return !over.revents().is_empty();
    }
}

fn refuse(mut stream: &UnixStream, line: &[u8]) {
    let _gone = stream.write_all(line);
    // What it had to say is taken from the socket and looked at by nobody: closing over it would take the refusal back.
    let _unread =
        stream.set_read_timeout(Some(GLANCE)).and_then(|()| stream.read(&mut [0_u8; 4096]));
}
