//! An MCP client at the standard streams of `nucleus mcp serve`, of either era.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::Outcome;
use crate::script::metadata;

/// No answer of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// How a client opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// With `initialize`, of revision 2025-11-25.
    Handshake,
    /// Not at all, of revision 2026-07-28.
    Stateless,
}

/// A client and the server it started.
#[derive(Debug)]
pub struct McpClient {
    era: Era,
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    stderr: Arc<Mutex<String>>,
    /// Notifications that came before the answers that were waited for.
    pub notes: Vec<Value>,
    next_id: u64,
    started: Instant,
}

impl McpClient {
    /// Starts `command` and opens the conversation as its era does.
    ///
    /// # Panics
    /// When it cannot be started or does not answer.
    #[must_use]
    pub fn start(command: &mut Command, era: Era) -> Self {
        let mut client = Self::raw(command, era);
        if era == Era::Handshake {
            let opening = json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}},
                "clientInfo": {"name": "testkit", "version": "1"}});
            client.ask("initialize", opening);
            client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        }
        client
    }

    /// Starts `command` and says nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn raw(command: &mut Command, era: Era) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line);
                let message = message.unwrap_or_else(|_| json!({ "no message": line }));
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let (mut from, to) = (child.stderr.take().expect("a pipe"), Arc::clone(&stderr));
        std::thread::spawn(move || {
            let mut bytes = [0_u8; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default());
                to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        let stdin = child.stdin.take();
        let started = Instant::now();
        Self { era, child, stdin, messages, stderr, notes: Vec::new(), next_id: 0, started }
    }

    /// The process of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server said to people so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a line as it is.
    pub fn line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open conversation");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("a server that reads");
    }

    /// Sends a message as it is.
    pub fn send(&mut self, message: &Value) {
        self.line(&message.to_string());
    }

    /// Sends a request, with what its era wants in it, and gives its id.
    pub fn begin(&mut self, method: &str, mut params: Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        if self.era == Era::Stateless {
            let meta = params["_meta"].as_object().cloned().unwrap_or_default();
            params["_meta"] = metadata();
            for (key, value) in meta {
                params["_meta"][key] = value;
            }
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The next message of any kind.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn receive(&mut self) -> Value {
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => message,
            Err(error) => panic!("no message ({error}); stderr: {}", self.stderr()),
        }
    }

    /// The answer to request `id`; notifications on the way are kept.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.receive();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.notes.push(message);
        }
    }

    /// A request and its answer.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        self.answer(id)
    }

    /// A tool call and its result: whether it is an error, and its text.
    ///
    /// # Panics
    /// When the answer is none to a tool call.
    #[track_caller]
    pub fn call(&mut self, name: &str, arguments: Value) -> (bool, String) {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments}));
        let text = answer["result"]["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{answer}")).to_owned();
        (answer["result"]["isError"] == true, text)
    }

    /// Leaves, and gives everything that still came.
    ///
    /// # Panics
    /// When the server does not end.
    pub fn leave(mut self) -> (Outcome, Vec<Value>) {
        drop(self.stdin.take());
        self.outcome()
    }

    /// Waits for the server's end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn outcome(mut self) -> (Outcome, Vec<Value>) {
        let deadline = Instant::now() + PATIENCE;
        let mut rest = std::mem::take(&mut self.notes);
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => rest.push(message),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.stderr()),
            }
        }
        let code = self.child.wait().expect("a status").code();
        // The last words are on their way from the pipe: the summary is what every end says.
        while code == Some(0) && !self.stderr().contains("audit") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let outcome = Outcome {
            code,
            stdout: String::new(),
            stderr: self.stderr(),
            took: self.started.elapsed(),
        };
        (outcome.sound(), rest)
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        // It has ended, as a rule.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
