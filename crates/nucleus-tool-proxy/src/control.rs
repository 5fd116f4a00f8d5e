//! The proxy's end of the control socket: events out, decisions in.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nucleus_wire::control::{ApprovalView, FeedEvent, FromProxy, TaskSpec, ToProxy};

/// Longest line accepted from the user's side, in bytes: a task with policy texts and a script.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A user's side that does not read for this long is as good as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the user's side said.
#[derive(Debug)]
pub(crate) enum FromUser {
    /// An answer to an approval request.
    Decide {
        /// Which request.
        id: String,
        /// Granted or refused.
        approve: bool,
        /// Words for the agent.
        reason: Option<String>,
    },
    /// Stop, keep the session.
    Interrupt,
    /// The socket closed or carried something that is no message: nobody is there any more.
    Gone,
}

/// The writing half, shared by everything that reports.
#[derive(Debug)]
pub(crate) struct Control {
    writer: Mutex<UnixStream>,
}

impl Control {
    /// Takes the socket and reads the first line, which must start a task.
    ///
    /// # Errors
    /// The socket failed, or its first line is not a `start`.
    pub(crate) fn accept(
        socket: UnixStream,
    ) -> std::io::Result<(Self, BufReader<UnixStream>, TaskSpec)> {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut reader = BufReader::new(socket.try_clone()?);
        match read_message(&mut reader)? {
            Some(ToProxy::Start(spec)) => Ok((Self { writer: Mutex::new(socket) }, reader, *spec)),
            _ => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the first control line must be `start`",
            )),
        }
    }

    /// Sends one line. A user's side that is gone is found by the reader, so nothing is lost by not failing here.
    pub(crate) fn send(&self, message: &FromProxy) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut writer = self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _gone = writer.write_all(&line);
    }
}

impl nucleus::Feed for Control {
    fn event(&self, event: FeedEvent) {
        self.send(&FromProxy::Feed(event));
    }
}

impl nucleus::Approver for Control {
    fn requested(&self, view: ApprovalView) {
        self.send(&FromProxy::ApprovalRequested(view));
    }

    fn settled(&self, id: &str, outcome: &'static str) {
        self.send(&FromProxy::ApprovalSettled { id: id.to_owned(), outcome: outcome.to_owned() });
    }
}

/// Reads the user's side to its end on a thread of its own.
///
/// # Errors
/// The thread could not be started.
pub(crate) fn listen<T: Send + 'static>(
    mut reader: BufReader<UnixStream>,
    events: Sender<T>,
    wrap: impl Fn(FromUser) -> T + Send + 'static,
) -> std::io::Result<()> {
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        loop {
            let message = match read_message(&mut reader) {
                Ok(Some(ToProxy::Decide { id, approve, reason })) => {
                    FromUser::Decide { id, approve, reason }
                }
                Ok(Some(ToProxy::Interrupt)) => FromUser::Interrupt,
                Ok(Some(ToProxy::Start(_)) | None) | Err(_) => FromUser::Gone,
            };
            let last = matches!(message, FromUser::Gone);
            if events.send(wrap(message)).is_err() || last {
                return;
            }
        }
    })?;
    Ok(())
}

fn read_message(reader: &mut BufReader<UnixStream>) -> std::io::Result<Option<ToProxy>> {
    let mut line = Vec::new();
    if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_a_start_is_refused_first() {
        let (mut user, proxy) = UnixStream::pair().unwrap();
        user.write_all(b"{\"type\":\"interrupt\"}\n").unwrap();
        assert!(Control::accept(proxy).is_err());
    }

    #[test]
    fn a_closed_socket_is_reported_as_gone() {
        let (user, proxy) = UnixStream::pair().unwrap();
        let (sender, events) = std::sync::mpsc::channel();
        listen(BufReader::new(proxy), sender, |m| m).unwrap();
        drop(user);
        assert!(matches!(events.recv().unwrap(), FromUser::Gone));
    }
}
