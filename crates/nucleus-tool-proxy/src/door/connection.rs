//! One connection: lines in, lines out, calls in between.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nucleus::Cancel;
use nucleus_wire::mcp::{
    CallTool, Envelope, ErrorCode, Frame, FrameReader, Line, Notification, Reply, Request,
    RequestId, ServerNotification,
};
use serde_json::{Map, Value};

use super::Door;
use super::answer::{Era, Step};
use super::writer::{Reporter, Writer};

/// A client that does not read its answers for this long loses its connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of change notifications one connection may hold open.
const LISTENING_MAX: usize = 8;

/// What has an id on this connection and is not over.
enum Active {
    /// A call.
    Call(Cancel),
    /// A stream of notifications that never come.
    Stream,
}

type Running = Mutex<HashMap<RequestId, Active>>;

/// A connection and what runs for it.
pub(super) struct Connection {
    door: Arc<Door>,
    reader: FrameReader<UnixStream>,
    writer: Arc<Writer>,
    running: Arc<Running>,
    /// `initialize` came, so requests without metadata are understood.
    opened: bool,
}

impl Connection {
    /// # Errors
    /// No descriptors are left.
    pub(super) fn new(door: Arc<Door>, stream: UnixStream) -> std::io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let writer = Arc::new(Writer::new(stream.try_clone()?));
        let reader = FrameReader::new(stream);
        Ok(Self { door, reader, writer, running: Arc::default(), opened: false })
    }

    /// Serves it until the client leaves.
    pub(super) fn run(mut self) {
        while let Ok(Some(line)) = self.reader.next_line() {
            match line {
                Line::Frame(bytes) => self.frame(&bytes),
                Line::Oversize { limit } => {
                    self.door.malformed("frame.oversize");
                    self.writer.send(&Reply::oversize(limit).to_line());
                }
                _ => self.door.malformed("frame.torn"),
            }
        }
        // The client left: what it asked for and has not begun need not begin; a command that runs is killed.
        for active in self.running.lock().unwrap_or_else(PoisonError::into_inner).values() {
            if let Active::Call(cancel) = active {
                cancel.cancel();
            }
        }
    }

    fn frame(&mut self, bytes: &[u8]) {
        match Frame::parse(bytes) {
            Ok(Frame::Request { id, method, params }) => self.request(id, &method, params),
            Ok(Frame::Notification { method, params }) => {
                if let Ok(Notification::Cancelled { request_id, .. }) =
                    Notification::parse(&method, &params)
                {
                    self.cancelled(&request_id);
                }
            }
            // This server asks its client nothing, so an answer is one to nobody.
            Ok(Frame::Response { .. }) => self.door.malformed("frame.response"),
            Err(error) => {
                self.door.malformed("frame.malformed");
                self.writer.send(&error.reply().to_line());
            }
        }
    }

    fn request(&mut self, id: RequestId, method: &str, params: Map<String, Value>) {
        let era = match Era::of(&params) {
            Ok(era) => era,
            Err(error) => {
                return self.refuse("frame.metadata", &error.reply(id, self.door.versions()));
            }
        };
        // A method of both eras means what the client's own era says, so that has to be known.
        if era == Era::Handshake && !self.opened && !matches!(method, "initialize" | "ping") {
            return self
                .refuse("frame.metadata", &Envelope::missing().reply(id, self.door.versions()));
        }
        let request = match Request::parse(method, params) {
            Ok(request) => request,
            Err(error) => return self.refuse("frame.params", &error.reply(id)),
        };
        self.opened |= era == Era::Handshake && matches!(request, Request::Initialize(_));
        match self.door.step(&id, request, era) {
            Step::Reply(reply) => self.writer.send(&reply.to_line()),
            Step::Call(call) => self.call(id, call, era),
            Step::Listen => self.listen(id),
        }
    }

    fn call(&mut self, id: RequestId, call: CallTool, era: Era) {
        let cancel = Cancel::new();
        if !self.begin(&id, Active::Call(cancel.clone())) {
            let text = "a request with this id is still running";
            let reply = Reply::error(Some(id), ErrorCode::InvalidRequest, text);
            return self.refuse("frame.id_in_use", &reply);
        }
        let door = Arc::clone(&self.door);
        let writer = Arc::clone(&self.writer);
        let running = Arc::clone(&self.running);
        let request = id.clone();
        let submitted = self.door.pool.submit(move || {
            let progress = Reporter::new(&writer, call.progress_token.as_ref(), &cancel);
            let reply = door.answer(request.clone(), &call, era, &cancel, &progress);
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
            // Nobody waits for the answer to a call that was taken back, and none may come.
            if !cancel.is_cancelled() {
                writer.send(&reply.to_line());
            }
        });
        if submitted.is_err() {
            self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let text = "too many calls at a time; wait for answers and send this one again";
            self.refuse("door.busy", &Reply::error(Some(id), ErrorCode::Internal, text));
        }
    }

    fn listen(&mut self, id: RequestId) {
        let streams = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.values().filter(|active| matches!(active, Active::Stream)).count()
        };
        if streams >= LISTENING_MAX || !self.begin(&id, Active::Stream) {
            let text = "too many streams are open, or this id is in use";
            let reply = Reply::error(Some(id), ErrorCode::InvalidRequest, text);
            return self.refuse("frame.id_in_use", &reply);
        }
        self.writer.send(&ServerNotification::acknowledged(&id).to_line());
    }

    /// Notes what has begun under `id`; `false` when something runs under it already.
    fn begin(&self, id: &RequestId, active: Active) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(id) {
            return false;
        }
        running.insert(id.clone(), active);
        true
    }

    /// The client took a request back. One that is over or was never made is none.
    fn cancelled(&self, id: &RequestId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.get(id) {
            // Its worker removes it, so that its id is not used again before that.
            Some(Active::Call(cancel)) => cancel.cancel(),
            Some(Active::Stream) => {
                running.remove(id);
            }
            None => {}
        }
    }

    fn refuse(&self, code: &'static str, reply: &Reply) {
        self.door.malformed(code);
        self.writer.send(&reply.to_line());
    }
}
