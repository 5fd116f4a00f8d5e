//! The door: MCP on the listener that exists only inside one agent pod. Who calls is known by the listener.
//!
//! Framing and session messages are answered here; every tool call goes to the executor on a bounded pool.

use std::collections::HashMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nucleus::{Caller, Cancel, Executor, Pool, Progress};
use nucleus_wire::mcp::{
    CallTool, ErrorCode, Frame, FrameReader, Line, Notification, ProgressToken, ProtocolVersion,
    Reply, Request, RequestId, ServerInfo, ServerNotification, ToolResult,
};
use nucleus_wire::tool;

/// Connections one pod may hold open at a time.
const CONNECTIONS_MAX: usize = 64;
/// Calls that run at the same time, over all connections.
const WORKERS: usize = 16;
/// Calls that wait for a worker before the door answers that it is busy.
const QUEUED_MAX: usize = 256;
/// A client that does not read its answers for this long loses its connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What the server tells a client about itself.
const INSTRUCTIONS: &str = "Every tool acts on the workspace through Nucleus, which enforces the user's permissions. A refusal names the \
rule and the next step that is allowed; do not retry a refused call unchanged. Paths are relative to the workspace.";

/// What all connections share.
pub(crate) struct Door {
    executor: Executor,
    caller: Caller,
    pool: Pool,
    connections: AtomicUsize,
}

impl Door {
    /// A door for the pod behind `caller`.
    ///
    /// # Errors
    /// The host gives no threads.
    pub(crate) fn new(executor: Executor, caller: Caller) -> std::io::Result<Arc<Self>> {
        let pool = Pool::new(WORKERS, QUEUED_MAX)?;
        Ok(Arc::new(Self { executor, caller, pool, connections: AtomicUsize::new(0) }))
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

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        if self.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            self.executor.malformed(&self.caller, "door.connections");
            return; // dropping it closes it
        }
        let door = Arc::clone(self);
        let served = std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
            if let Ok(connection) = Connection::new(Arc::clone(&door), stream) {
                connection.run();
            }
            door.connections.fetch_sub(1, Ordering::AcqRel);
        });
        if served.is_err() {
            self.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// One connection.
struct Connection {
    door: Arc<Door>,
    reader: FrameReader<UnixStream>,
    writer: Arc<Writer>,
    running: Arc<Mutex<HashMap<RequestId, Cancel>>>,
}

impl Connection {
    fn new(door: Arc<Door>, stream: UnixStream) -> std::io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let writer = Arc::new(Writer(Mutex::new(stream.try_clone()?)));
        Ok(Self { door, reader: FrameReader::new(stream), writer, running: Arc::default() })
    }

    fn run(mut self) {
        while let Ok(Some(line)) = self.reader.next_line() {
            match line {
                Line::Frame(bytes) => self.frame(&bytes),
                Line::Oversize { limit } => {
                    self.malformed("frame.oversize");
                    self.writer.send(&Reply::oversize(limit).to_line());
                }
                _ => self.malformed("frame.torn"),
            }
        }
        // The client left: what it asked for and has not begun need not begin; what is recorded runs to its end.
        for cancel in self.running.lock().unwrap_or_else(PoisonError::into_inner).values() {
            cancel.cancel();
        }
    }

    fn frame(&mut self, bytes: &[u8]) {
        match Frame::parse(bytes) {
            Ok(Frame::Request { id, method, params }) => match Request::parse(&method, params) {
                Ok(request) => self.request(id, request),
                Err(error) => {
                    self.malformed("frame.params");
                    self.writer.send(&error.reply(id).to_line());
                }
            },
            Ok(Frame::Notification { method, params }) => {
                if let Ok(Notification::Cancelled { request_id, .. }) =
                    Notification::parse(&method, &params)
                    && let Some(cancel) =
                        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&request_id)
                {
                    cancel.cancel();
                }
            }
            // This server asks its client nothing, so an answer is one to nobody.
            Ok(Frame::Response { .. }) => self.malformed("frame.response"),
            Err(error) => {
                self.malformed("frame.malformed");
                self.writer.send(&error.reply().to_line());
            }
        }
    }

    fn request(&mut self, id: RequestId, request: Request) {
        let reply = match request {
            Request::Initialize(initialize) => {
                let version = ProtocolVersion::negotiate(&initialize.protocol_version);
                let server = ServerInfo {
                    name: "nucleus",
                    title: Some("Nucleus"),
                    version: env!("CARGO_PKG_VERSION"),
                    instructions: Some(INSTRUCTIONS),
                };
                Reply::initialized(id, version, &server)
            }
            Request::Ping => Reply::pong(id),
            Request::ListTools => Reply::tools(id, tool::schemas(&self.door.executor.tools())),
            Request::CallTool(call) => return self.call(id, call),
            _ => Reply::method_not_found(id),
        };
        self.writer.send(&reply.to_line());
    }

    fn call(&mut self, id: RequestId, call: CallTool) {
        let cancel = Cancel::new();
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.contains_key(&id) {
                drop(running);
                self.malformed("frame.id_in_use");
                let text = "a call with this id is still running";
                self.writer
                    .send(&Reply::error(Some(id), ErrorCode::InvalidRequest, text).to_line());
                return;
            }
            running.insert(id.clone(), cancel.clone());
        }
        let door = Arc::clone(&self.door);
        let writer = Arc::clone(&self.writer);
        let running = Arc::clone(&self.running);
        let request = id.clone();
        let submitted = self.door.pool.submit(move || {
            let progress = Reporter {
                writer: &writer,
                token: call.progress_token.as_ref(),
                sent: AtomicUsize::new(0),
            };
            let result =
                door.executor.serve(&call.name, &call.arguments, &door.caller, &cancel, &progress);
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
            writer.send(&Reply::tool(request, on_the_wire(result)).to_line());
        });
        if submitted.is_err() {
            self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            self.malformed("door.busy");
            let text = "too many calls at a time; wait for answers and send this one again";
            self.writer.send(&Reply::error(Some(id), ErrorCode::Internal, text).to_line());
        }
    }

    fn malformed(&self, code: &'static str) {
        self.door.executor.malformed(&self.door.caller, code);
    }
}

fn on_the_wire(result: nucleus::ToolResult) -> ToolResult {
    let error = result.is_error();
    let wire = if error { ToolResult::error(result.text) } else { ToolResult::text(result.text) };
    // Not as `structuredContent`: Claude Code shows the model that instead of the text, and the output would be lost.
    match result.structured {
        Some(data) => {
            wire.with_meta(serde_json::Map::from_iter([("nucleus/result".to_owned(), data)]))
        }
        None => wire,
    }
}

/// The writing half of a connection; answers of several calls must not mix.
struct Writer(Mutex<UnixStream>);

impl Writer {
    fn send(&self, line: &[u8]) {
        use std::io::Write;
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.write_all(line).is_err() {
            // A half-written line cannot be continued; the reader then sees the end too.
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Progress of one call, when its client asked for it.
struct Reporter<'a> {
    writer: &'a Writer,
    token: Option<&'a ProgressToken>,
    sent: AtomicUsize,
}

impl Progress for Reporter<'_> {
    fn report(&self, message: &str) {
        let Some(token) = self.token else { return };
        let sent = self.sent.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let progress = nucleus_wire::mcp::Progress {
            progress: u64::try_from(sent).unwrap_or(u64::MAX),
            total: None,
            message: Some(message),
        };
        self.writer.send(&ServerNotification::progress(token, &progress).to_line());
    }
}
