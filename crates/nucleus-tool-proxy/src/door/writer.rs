//! The writing half of a connection.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nucleus::{Cancel, Progress};
use nucleus_wire::mcp::{ProgressToken, ServerNotification};

/// Answers of several calls must not mix.
pub(super) struct Writer(Mutex<UnixStream>);

impl Writer {
    /// Writes to `stream`.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Mutex::new(stream))
    }

    /// Sends one line.
    pub(super) fn send(&self, line: &[u8]) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.write_all(line).is_err() {
            // A half-written line cannot be continued; the reader then sees the end too.
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Progress of one call, when its client asked for it and has not taken the call back.
pub(super) struct Reporter<'a> {
    writer: &'a Writer,
    token: Option<&'a ProgressToken>,
    cancel: &'a Cancel,
    sent: AtomicU64,
}

impl<'a> Reporter<'a> {
    /// Reports under `token`.
    pub(super) fn new(
        writer: &'a Writer,
        token: Option<&'a ProgressToken>,
        cancel: &'a Cancel,
    ) -> Self {
        Self { writer, token, cancel, sent: AtomicU64::new(0) }
    }
}

impl Progress for Reporter<'_> {
    fn report(&self, message: &str) {
        let Some(token) = self.token else { return };
        if self.cancel.is_cancelled() {
            return;
        }
        let progress = nucleus_wire::mcp::Progress {
            progress: self.sent.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            total: None,
            message: Some(message),
        };
        self.writer.send(&ServerNotification::progress(token, &progress).to_line());
    }
}
