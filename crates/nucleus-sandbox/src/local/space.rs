//! Watch over the space left where the session lives: a command that fills the disk is killed before the log cannot
//! be written any more.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nucleus_sys::{fd, process};

/// How often the space is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// Files that must still fit; a small file system keeps a sixteenth of its own. Files run out as bytes do: a million
/// empty ones take none.
const RESERVE_FILES: u64 = 4_096;

/// The watch. Dropping it ends it.
#[derive(Debug)]
pub(super) struct SpaceWatch {
    directory: PathBuf,
    reserve_bytes: u64,
    pods: Arc<Mutex<Vec<OwnedFd>>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SpaceWatch {
    /// Starts watching the file system of `directory`.
    ///
    /// # Errors
    /// What starting a thread says.
    pub(super) fn start(directory: &Path, reserve_bytes: u64) -> io::Result<Self> {
        let pods: Arc<Mutex<Vec<OwnedFd>>> = Arc::default();
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::clone(&pods);
        let place = directory.to_path_buf();
        let thread = std::thread::Builder::new().name("space".to_owned()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if is_low(&place, reserve_bytes) {
                    kill(&watched);
                }
            }
        })?;
        Ok(Self {
            directory: directory.to_path_buf(),
            reserve_bytes,
            pods,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// True when nothing may be started.
    pub(super) fn is_low(&self) -> bool {
        is_low(&self.directory, self.reserve_bytes)
    }

    /// Puts a pod under the watch.
    ///
    /// # Errors
    /// What duplicating the descriptor says.
    pub(super) fn add(&self, pod: &OwnedFd) -> io::Result<()> {
        let pod = fd::duplicate(pod)?;
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.retain(|pod| !process::wait_end(pod.as_fd(), Some(Duration::ZERO)).unwrap_or(true));
        pods.push(pod);
        Ok(())
    }
}

impl Drop for SpaceWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the watch has nothing to tell that dropping it could still use.
            let _ended = thread.join();
        }
    }
}

/// An error counts as enough: the writes themselves will tell. So does a file system that does not count its files.
fn is_low(directory: &Path, reserve_bytes: u64) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|stat| {
        let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        bytes < reserve_bytes
            || stat.f_files != 0 && stat.f_favail < RESERVE_FILES.min(stat.f_files / 16)
    })
}

fn kill(pods: &Mutex<Vec<OwnedFd>>) {
    let pods = pods.lock().unwrap_or_else(PoisonError::into_inner);
    for pod in pods.iter() {
        // An error means that it has ended.
        let _gone = process::kill(pod.as_fd());
    }
}
