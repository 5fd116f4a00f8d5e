//! A client outside of any pod: only what it asks of the door is enforced, and it is told so.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nucleus::Caller;
use nucleus_sandbox::PodEnd;
use nucleus_wire::control::{Failure, FailureClass};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::door::{Door, Scope, http};
use crate::session;
use crate::task::{Running, Task, TaskEvent};
use crate::withheld;

/// What holds, in the record of the session.
pub(crate) const SCOPE: &str = "only tool calls are enforced";
/// The same for the user.
pub(crate) const LABEL: &str =
    "only tool calls are enforced: what the client does by other means is not";

/// True when both directions of a connection are closed.
fn hung_up(stream: &UnixStream) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::empty())];
    match poll(&mut asked, Some(&Timespec::default())) {
        Ok(_) => asked.iter().any(|fd| fd.revents().contains(PollFlags::HUP)),
        Err(_) => true,
    }
}

/// What the user's side hands over of a client.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The client's connection; where it comes by HTTP, one whose end is the end of the task.
    pub life: Option<OwnedFd>,
    /// Where it comes by HTTP: the listener.
    pub listener: Option<OwnedFd>,
    /// And what it has to know, in a sealed memory file.
    pub token: Option<OwnedFd>,
}

/// Serves the client until it leaves, which is the payload's end.
///
/// # Errors
/// There is no connection, or the host gives no thread.
pub(crate) fn start(
    task: &Task,
    ends: Ends,
    caller: &Caller,
    ended: &Sender<TaskEvent>,
) -> Result<Running, Failure> {
    let Some(stream) = ends.life.map(UnixStream::from) else {
        return Err(Failure {
            class: FailureClass::Internal,
            message: "no connection was handed over for the client".to_owned(),
            hint: None,
        });
    };
    let unavailable = |error: std::io::Error| session::io_failure("the client's door", &error);
    let scope = if ends.listener.is_some() { Scope::OutsideHttp } else { Scope::Outside };
    let withheld = withheld::instruction(&task.session.handles.masks);
    let door =
        Door::new(task.executor.clone(), caller.clone(), scope, withheld).map_err(unavailable)?;
    let by_http = ends.listener.is_some();
    if let Some(listener) = ends.listener {
        let token = token(ends.token).map_err(unavailable)?;
        http::serve(Arc::clone(&door), listener.into(), token).map_err(unavailable)?;
    }
    let ended = ended.clone();
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(move || {
            // A client that ends its sending half leaves in order; one whose connection is gone was lost, and so is
            // one that cannot be served.
            let served = stream.try_clone().and_then(|mut ours| {
                if by_http {
                    std::io::copy(&mut ours, &mut std::io::sink()).map(|_| ())
                } else {
                    door.converse(ours)
                }
            });
            let left = served.is_ok() && !hung_up(&stream);
            let event =
                if left { TaskEvent::Ended(Some(PodEnd::Code(0))) } else { TaskEvent::Stop };
            let _stopped = ended.send(event);
        })
        .map_err(unavailable)?;
    Ok(Running::default())
}

/// What a client by HTTP has to know. There is no such client without one.
fn token(file: Option<OwnedFd>) -> std::io::Result<Vec<u8>> {
    let mut token = Vec::new();
    if let Some(file) = file {
        File::from(file).read_to_end(&mut token)?;
    }
    if token.is_empty() {
        return Err(std::io::Error::other("no token was handed over"));
    }
    Ok(token)
}
