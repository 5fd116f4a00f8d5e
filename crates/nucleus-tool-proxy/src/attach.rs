//! The session's own socket: where another user's side comes to a running task, to show it, to answer for it or to stop
//! it. Who may is decided as at the approvals socket: an answer given here counts as much as one given there.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nucleus::Recorder;
use nucleus_sys::peer::PeerError;
use nucleus_wire::control::{ATTACH_SOCKET, Failure, FailureClass, FromProxy, ToProxy};

use crate::control::{AtTerminal, Control, FromUser, read_all, read_message};
use crate::reception::{self, Desk, Reception, Refused};

/// How long a newcomer may take to say what it wants.
const FIRST_LINE: Duration = Duration::from_secs(10);

/// What newcomers are led to.
#[derive(Clone)]
pub(crate) struct Newcomers {
    control: Arc<Control>,
    events: Sender<FromUser>,
}

/// Serves the socket until the process ends.
///
/// # Errors
/// The socket cannot be made.
pub(crate) fn serve(
    session_dir: &Path,
    newcomers: Newcomers,
    recorder: Recorder,
) -> std::io::Result<()> {
    let listener = reception::bind(session_dir, ATTACH_SOCKET)?;
    let reception = Reception::new(newcomers, recorder);
    std::thread::Builder::new()
        .name("attach".to_owned())
        .spawn(move || reception.receive(&listener, None))?;
    Ok(())
}

impl Newcomers {
    /// Newcomers to this task.
    pub(crate) fn new(control: Arc<Control>, events: Sender<FromUser>) -> Self {
        Self { control, events }
    }
}

impl Desk for Newcomers {
    const EVENT: &'static str = "attach_peer";

    fn refusal(refused: &Refused) -> Vec<u8> {
        let class = match refused {
            Refused::Peer(PeerError::Io(_)) | Refused::Crowded => FailureClass::Unavailable,
            Refused::Peer(_) => FailureClass::Denied,
        };
        line(Failure { class, message: refused.to_string(), hint: None })
    }

    fn serve(&self, stream: UnixStream) {
        let set = stream.set_read_timeout(Some(FIRST_LINE));
        let (Ok(()), Ok(reading)) = (set, stream.try_clone()) else { return };
        let mut reader = BufReader::new(reading);
        match read_message(&mut reader) {
            Ok(Some(ToProxy::Attach { terminal })) => {
                if !self.control.stays() {
                    // It is gone already, then.
                    let _gone = (&stream).write_all(&elsewhere());
                    return;
                }
                let _waits = stream.set_read_timeout(None);
                let Ok(count) = self.control.replace(stream) else { return };
                if let Some(facts) = terminal {
                    let _over = self.events.send(FromUser::Terminal(AtTerminal::Attach(facts)));
                }
                read_all(&mut reader, &self.control, count, |message| {
                    self.events.send(message).is_ok()
                });
            }
            Ok(Some(ToProxy::Interrupt)) => {
                let _over = self.events.send(FromUser::Interrupt);
                // Open until the task is over: that is how the other end knows.
                let _waits = stream.set_read_timeout(None);
                let _closed = read_message(&mut reader);
            }
            _ => {}
        }
    }
}

fn elsewhere() -> Vec<u8> {
    line(Failure {
        class: FailureClass::Usage,
        message: "this task is at another terminal".to_owned(),
        hint: Some(
            "detach it there first (Ctrl-] and `detach`), or start tasks with --detach".to_owned(),
        ),
    })
}

fn line(failure: Failure) -> Vec<u8> {
    let mut line = serde_json::to_vec(&FromProxy::Failed(failure)).unwrap_or_default();
    line.push(b'\n');
    line
}
