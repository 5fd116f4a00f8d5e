//! A running pod, as the host sees it.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nucleus_sys::process;
use nucleus_sys::weaken::{Weak, off};

use crate::error::SandboxError;
use crate::local::Host;
use crate::plan::Report;

/// How a pod's program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every end must be handled")]
pub enum PodEnd {
    /// It exited with this code.
    Code(i32),
    /// A signal from inside ended it.
    Signal(i32),
    /// The whole pod was killed from outside: by us, by the memory limit, or with the launcher.
    Killed,
    /// It could not be executed; the system's error number.
    NotExecuted(i32),
}

/// A running pod. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Pod {
    /// Descriptor of the pod's init, which outlives everything else in the pod.
    pub pidfd: OwnedFd,
    /// Id of that process on the host.
    pub pid: i32,
    /// The door listener, of an agent pod that has one. Taken by the caller.
    pub door: Option<UnixListener>,
    /// The model gate's listener, likewise.
    pub gate: Option<TcpListener>,
    /// The name service sockets, likewise.
    pub dns: Option<(UdpSocket, TcpListener)>,
    status: Mutex<Status>,
    /// The holder that goes when this pod goes, of an agent pod.
    own_holder: Option<(Arc<Host>, u32)>,
}

#[derive(Debug)]
enum Status {
    Open(File),
    Read(Result<PodEnd, crate::error::Failure>),
}

impl Pod {
    pub(crate) fn new(
        pidfd: OwnedFd,
        status: OwnedFd,
        own_holder: Option<(Arc<Host>, u32)>,
    ) -> Result<Self, SandboxError> {
        // A program that ended at once may be gone from /proc already; its descriptor still works.
        let pid = process::pid_of(&pidfd).unwrap_or(-1);
        Ok(Self {
            pidfd,
            pid,
            door: None,
            gate: None,
            dns: None,
            status: Mutex::new(Status::Open(status.into())),
            own_holder,
        })
    }

    /// Waits until everything in the pod is gone, at most `timeout`; `None` when something still runs.
    ///
    /// # Errors
    /// [`SandboxError::Build`] when a layer could not be put on: the program never started.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<PodEnd>, SandboxError> {
        let ended = process::wait_end(self.pidfd.as_fd(), timeout)
            .map_err(SandboxError::host("waiting for a pod"))?;
        if !ended {
            return Ok(None);
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Status::Open(file) = &mut *status {
            let end = read_end(file).map_err(SandboxError::host("reading how a pod ended"))?;
            *status = Status::Read(end);
        }
        match &*status {
            Status::Read(Ok(end)) => Ok(Some(*end)),
            Status::Read(Err(failure)) => Err(SandboxError::Build(failure.clone())),
            Status::Open(_) => Ok(None),
        }
    }

    /// Kills everything in the pod. [`Pod::wait`] then returns within the time the kernel needs for that.
    pub fn kill(&self) {
        if off(Weak::Kill) {
            return;
        }
        // An error means that it is gone already.
        let _gone = process::kill(self.pidfd.as_fd());
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.kill();
        if let Some((host, holder)) = self.own_holder.take() {
            host.release(holder);
        }
    }
}

/// Reads the reports of a pod that has ended. None means that its init was killed.
fn read_end(file: &mut File) -> io::Result<Result<PodEnd, crate::error::Failure>> {
    let mut text = String::new();
    file.take(64 << 10).read_to_string(&mut text)?;
    // The first report stands: after a failed execution the process also exits.
    let first = text.lines().next().and_then(|line| serde_json::from_str::<Report>(line).ok());
    Ok(match first {
        Some(Report::Code(code)) => Ok(PodEnd::Code(code)),
        Some(Report::Signal(signal)) => Ok(PodEnd::Signal(signal)),
        Some(Report::Exec(errno)) => Ok(PodEnd::NotExecuted(errno)),
        Some(Report::Failed(failure)) => Err(failure),
        Some(Report::Breaches(_)) | None => Ok(PodEnd::Killed),
    })
}
