//! The door: MCP on a listener that exists only inside one agent pod, or on the streams of a client outside of any. Who
//! calls is known by where the connection comes from.
//!
//! Framing and messages of the protocol are answered here; every tool call goes to the executor on a bounded pool.

mod answer;
mod connection;
pub(crate) mod http;
mod rounds;
mod writer;

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nucleus::{Caller, Executor, Pool};

use connection::Connection;
use rounds::Rounds;

/// Connections one pod may hold open at a time.
const CONNECTIONS_MAX: usize = 64;
/// Calls that run at the same time, over all connections.
const WORKERS: usize = 16;
/// Calls that wait for a worker before the door answers that it is busy.
const QUEUED_MAX: usize = 256;

/// What is enforced of those who come through a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything: they are in a pod, and the door is their only way out.
    Pod,
    /// Their tool calls, and nothing else.
    Outside,
    /// The same, of those who come by HTTP.
    OutsideHttp,
}

/// What all connections share.
pub(crate) struct Door {
    executor: Executor,
    caller: Caller,
    scope: Scope,
    instructions: String,
    pool: Pool,
    rounds: Rounds,
    connections: AtomicUsize,
}

impl Door {
    /// A door for `caller`; `withheld` says what no tool shows.
    ///
    /// # Errors
    /// The host gives no threads.
    pub(crate) fn new(
        executor: Executor,
        caller: Caller,
        scope: Scope,
        withheld: Option<String>,
    ) -> std::io::Result<Arc<Self>> {
        let pool = Pool::new(WORKERS, QUEUED_MAX)?;
        Ok(Arc::new(Self {
            executor,
            caller,
            scope,
            instructions: answer::instructions(scope, withheld),
            pool,
            rounds: Rounds::default(),
            connections: AtomicUsize::new(0),
        }))
    }

    /// Serves the listener on threads of its own, until the process ends.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(crate) fn serve(self: Arc<Self>, listener: UnixListener) -> std::io::Result<()> {
        std::thread::Builder::new().name("door".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => self.admit(stream),
                    // The listener's pod is gone, or descriptors ran out: waiting costs nothing and may help.
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        })?;
        Ok(())
    }

    /// Serves one connection to its end.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn converse(self: &Arc<Self>, stream: UnixStream) -> std::io::Result<()> {
        Connection::new(Arc::clone(self), stream).map(Connection::run)
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        if self.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            self.malformed("door.connections");
            return; // dropping it closes it
        }
        let door = Arc::clone(self);
        let served = std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
            // A connection that cannot be served is closed; its client sees that.
            let _closed = door.converse(stream);
            door.connections.fetch_sub(1, Ordering::AcqRel);
        });
        if served.is_err() {
            self.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Records what was no request.
    fn malformed(&self, code: &'static str) {
        self.executor.malformed(&self.caller, code);
    }
}
