//! Starts the enforcement process of a task and speaks the control protocol with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nucleus_wire::control::{FromProxy, ToProxy};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::failure::CliFailure;

/// Longest control line accepted, in bytes: a summary of very many files fits.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A running `nucleus-tool-proxy`.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// `None` for one that another command started.
    child: Option<Child>,
    control: UnixStream,
}

impl Proxy {
    /// Starts the proxy in a process group of its own (a Ctrl-C at the terminal is this command's to handle),
    /// with an empty environment, the control socket and, when there are such, the descriptors of the model key, of
    /// the connection of a client and of the webhook's key. `alone` lets go of this command's streams, for a task that outlives it.
    pub(crate) fn start(
        program: &Path,
        model_key: Option<OwnedFd>,
        client: &[(&str, OwnedFd)],
        alone: bool,
    ) -> Result<Self, CliFailure> {
        let failed = |error: std::io::Error| {
            CliFailure::unavailable(format!("cannot start {}: {error}", program.display()))
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(program);
        clear(&mut command);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        if alone {
            command.stderr(Stdio::null());
        }
        #[cfg(feature = "weaken")]
        if let Some(value) = std::env::var_os(nucleus_sys::weaken::VARIABLE) {
            command.env(nucleus_sys::weaken::VARIABLE, value);
        }
        inherit(&theirs).map_err(failed)?;
        command.arg("--control-fd").arg(theirs.as_raw_fd().to_string());
        let key = model_key.iter().map(|key| ("--model-key-fd", key));
        for (flag, fd) in key.chain(client.iter().map(|(flag, fd)| (*flag, fd))) {
            inherit(fd).map_err(failed)?;
            command.arg(flag).arg(fd.as_raw_fd().to_string());
        }
        let child = command.spawn().map_err(failed)?;
        Ok(Self { child: Some(child), control: ours })
    }

    /// One that runs already, behind its session's socket.
    pub(crate) fn attached(control: UnixStream) -> Self {
        Self { child: None, control }
    }

    /// Sends one line.
    pub(crate) fn send(&mut self, message: &ToProxy) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.control.write_all(&line)
    }

    /// Reads one line and nothing behind it.
    pub(crate) fn read_line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut reader = BufReader::with_capacity(1, &self.control).take(LINE_BYTES_MAX);
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    /// Reads lines on a thread of its own until the proxy closes its end; the last item is `None`.
    pub(crate) fn listen<T: Send + 'static>(
        &self,
        events: std::sync::mpsc::Sender<T>,
        wrap: impl Fn(Option<Result<FromProxy, String>>) -> T + Send + 'static,
    ) -> std::io::Result<()> {
        let mut reader = BufReader::new(self.control.try_clone()?);
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            loop {
                let mut line = Vec::new();
                let item = match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                    Ok(0) => None,
                    Ok(_) => Some(serde_json::from_slice(&line).map_err(|error| error.to_string())),
                    Err(error) => Some(Err(error.to_string())),
                };
                let last = !matches!(item, Some(Ok(_)));
                if events.send(wrap(item)).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// Ends the proxy at once; its launcher kills every pod when it is gone.
    pub(crate) fn kill(&mut self) -> std::io::Result<()> {
        match &mut self.child {
            Some(child) => child.kill(),
            None => self.control.shutdown(std::net::Shutdown::Both),
        }
    }

    /// Waits for the proxy to be gone.
    pub(crate) fn wait(&mut self) -> std::io::Result<()> {
        match &mut self.child {
            Some(child) => child.wait().map(|_| ()),
            None => Ok(()),
        }
    }

    /// The failure to report when it is gone without a summary.
    pub(crate) fn lost(&mut self, why: &str, killed: bool) -> CliFailure {
        let _gone = self.kill();
        let _status = self.wait();
        let failure = if killed {
            CliFailure::interrupted("killed before the task could end in order")
        } else {
            CliFailure::unavailable(format!("the enforcement process is gone: {why}"))
        };
        failure.hint(
            "every pod of the task died with it; changes that were being written to the workspace are finished or undone by the next command\n\
             keep what the agent did with `nucleus apply`, look at it with `nucleus review`, or drop it with `nucleus discard`",
        )
    }
}

/// Where the programs of this installation are: beside the running one.
pub(crate) fn bin_dir() -> Result<PathBuf, CliFailure> {
    let own = std::env::current_exe().map_err(|error| {
        CliFailure::internal(format!("cannot find this program's own path: {error}"))
    })?;
    own.parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| CliFailure::internal("this program has no directory"))
}

/// A program of this installation.
pub(crate) fn companion(dir: &Path, name: &str) -> Result<PathBuf, CliFailure> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(CliFailure::usage(format!(
        "{name} is not installed beside nucleus (looked in {})",
        dir.display()
    ))
    .hint(format!("install it from the same source: cargo install {name}")))
}

#[cfg(not(feature = "weaken"))]
fn clear(command: &mut Command) {
    command.env_clear();
}

#[cfg(feature = "weaken")]
fn clear(command: &mut Command) {
    if !nucleus_sys::weaken::off(nucleus_sys::weaken::Weak::Env) {
        command.env_clear();
    }
}

fn inherit(fd: impl AsFd) -> std::io::Result<()> {
    // The only process started between here and the end of the descriptor's life is the proxy itself.
    fcntl_setfd(fd, FdFlags::empty()).map_err(Into::into)
}
