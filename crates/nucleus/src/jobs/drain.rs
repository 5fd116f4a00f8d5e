//! Empties the pipes of a command, so that it never waits for us and we never wait for it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::job::Job;

const CHUNK_BYTES: usize = 64 * 1024;
const LOOK_UP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Which pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// Reads both pipes in the order in which output comes, until both have ended or the job no longer cares.
pub(super) fn drain(job: &Arc<Job>, out: Option<OwnedFd>, error: Option<OwnedFd>) {
    let mut pipes: Vec<(Stream, OwnedFd)> = out
        .map(|fd| (Stream::Out, fd))
        .into_iter()
        .chain(error.map(|fd| (Stream::Error, fd)))
        .collect();
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    while !pipes.is_empty() && !job.abandoned() {
        let ready: Vec<bool> = {
            let mut polled: Vec<PollFd<'_>> =
                pipes.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)).collect();
            match poll(&mut polled, Some(&LOOK_UP)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            polled.iter().map(|one| !one.revents().is_empty()).collect()
        };
        let mut ready = ready.into_iter();
        pipes.retain(|(stream, fd)| {
            !ready.next().unwrap_or(false) || pump(job, *stream, fd, &mut buffer)
        });
    }
    job.drained();
}

/// Takes what one pipe holds; false at its end.
fn pump(job: &Arc<Job>, stream: Stream, fd: &OwnedFd, buffer: &mut [u8]) -> bool {
    match rustix::io::read(fd.as_fd(), &mut *buffer) {
        Ok(0) => false,
        Ok(count) => {
            job.put(stream, buffer.get(..count).unwrap_or_default());
            true
        }
        Err(Errno::INTR | Errno::AGAIN) => true,
        Err(_) => false,
    }
}
