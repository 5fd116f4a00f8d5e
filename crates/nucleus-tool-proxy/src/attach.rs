//! The session's own socket: where another user's side comes to a running task, to show it or to stop it.
//!
//! It lies in the session's directory, which only the user can enter and no pod has. Still, who connects must be the
//! user (or root) and must not come from within a pod.

use std::io::BufReader;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nucleus_wire::control::{ATTACH_SOCKET, Failure, FailureClass, FromProxy, ToProxy};
use rustix::fs::{Mode, OFlags};

use crate::control::{AtTerminal, Control, FromUser, read_all, read_message};

/// How long a newcomer may take to say what it wants.
const FIRST_LINE: Duration = Duration::from_secs(10);

/// Serves the socket until the process ends.
///
/// # Errors
/// The socket cannot be made.
pub(crate) fn serve(
    session_dir: &Path,
    control: Arc<Control>,
    events: Sender<FromUser>,
) -> std::io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let dir: OwnedFd = rustix::fs::open(session_dir, flags, Mode::empty())?;
    // By the directory's descriptor: the name of a socket is short, a session's directory need not be.
    let listener =
        UnixListener::bind(format!("/proc/self/fd/{}/{ATTACH_SOCKET}", dir.as_raw_fd()))?;
    std::thread::Builder::new().name("attach".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if !is_user(&stream) {
                continue;
            }
            let (control, events) = (Arc::clone(&control), events.clone());
            // Without a thread the newcomer finds its socket closed.
            let _refused = std::thread::Builder::new()
                .name("user".to_owned())
                .spawn(move || welcome(stream, &control, &events));
        }
    })?;
    Ok(())
}

fn welcome(stream: UnixStream, control: &Control, events: &Sender<FromUser>) {
    let set = stream.set_read_timeout(Some(FIRST_LINE));
    let (Ok(()), Ok(reading)) = (set, stream.try_clone()) else { return };
    let mut reader = BufReader::new(reading);
    match read_message(&mut reader) {
        Ok(Some(ToProxy::Attach { terminal })) => {
            if !control.stays() {
                return refuse(&stream);
            }
            let _waits = stream.set_read_timeout(None);
            let Ok(count) = control.replace(stream) else { return };
            if let Some(facts) = terminal {
                let _over = events.send(FromUser::Terminal(AtTerminal::Attach(facts)));
            }
            read_all(&mut reader, control, count, |message| events.send(message).is_ok());
        }
        Ok(Some(ToProxy::Interrupt)) => {
            let _over = events.send(FromUser::Interrupt);
            // Open until the task is over: that is how the other end knows.
            let _waits = stream.set_read_timeout(None);
            let _closed = read_message(&mut reader);
        }
        _ => {}
    }
}

fn refuse(mut stream: &UnixStream) {
    use std::io::Write;
    let failure = FromProxy::Failed(Failure {
        class: FailureClass::Usage,
        message: "this task is at another terminal".to_owned(),
        hint: Some(
            "detach it there first (Ctrl-] and `detach`), or start tasks with --detach".to_owned(),
        ),
    });
    if let Ok(mut line) = serde_json::to_vec(&failure) {
        line.push(b'\n');
        let _gone = stream.write_all(&line);
    }
}

/// Whether the peer is this user or root, in the process namespace of the host.
fn is_user(stream: &UnixStream) -> bool {
    let Ok(peer) = rustix::net::sockopt::socket_peercred(stream.as_fd()) else { return false };
    let own = rustix::process::geteuid();
    if peer.uid != own && !peer.uid.is_root() {
        return false;
    }
    let space = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/pid")).ok();
    let (theirs, ours) = (space(&peer.pid.as_raw_nonzero().to_string()), space("self"));
    theirs.is_some() && theirs == ours
}
