//! A minimal MCP client over the relay's stdio, in the 2025-11-25 form.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Where the relay is inside a pod.
const RELAY: &str = "/opt/nucleus/nucleus-mcp";

/// What a request of revision 2026-07-28 says of itself.
#[must_use]
pub fn metadata() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "testkit", "version": env!("CARGO_PKG_VERSION")},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}, "url": {}}},
    })
}

/// A running relay and the conversation with the door behind it.
#[derive(Debug)]
pub struct DoorClient {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next_id: u64,
}

impl DoorClient {
    /// Starts the relay and initialises the conversation.
    ///
    /// # Errors
    /// The relay does not start or the door does not answer.
    pub fn open() -> std::io::Result<Self> {
        let mut child = Command::new(RELAY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let stdin = child.stdin.take().ok_or_else(|| Error::other("the relay has no stdin"))?;
        let stdout = child.stdout.take().ok_or_else(|| Error::other("the relay has no stdout"))?;
        let mut client = Self { child, stdin, stdout: BufReader::new(stdout), next_id: 0 };
        client.request(
            "initialize",
            &json!({"protocolVersion": "2025-11-25", "capabilities": {},
                    "clientInfo": {"name": "nucleus-scripted-agent", "version": env!("CARGO_PKG_VERSION")}}),
        )?;
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    /// Sends a line as it is and returns the next response, whatever it answers.
    ///
    /// # Errors
    /// As [`DoorClient::request`].
    pub fn exchange(&mut self, line: &[u8]) -> std::io::Result<Value> {
        self.send_line(line)?;
        loop {
            let message = self.receive()?;
            if message.get("method").is_none() {
                return Ok(message);
            }
        }
    }

    /// Sends a request and returns the whole response object, passing over notifications.
    ///
    /// # Errors
    /// The relay closed its end or wrote something that is not JSON.
    pub fn request(&mut self, method: &str, params: &Value) -> std::io::Result<Value> {
        self.next_id = self.next_id.saturating_add(1);
        let id = self.next_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let message = self.receive()?;
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(message);
            }
        }
    }

    /// Ends the conversation.
    ///
    /// # Errors
    /// The relay cannot be waited for.
    pub fn close(mut self) -> std::io::Result<()> {
        drop(self.stdin);
        self.child.wait().map(|_status| ())
    }

    /// Sends a line as it is.
    pub(super) fn send_line(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.stdin.write_all(line)?;
        self.stdin.write_all(b"\n")
    }

    /// Ends the conversation and counts what still came.
    pub(super) fn finish(mut self) -> std::io::Result<usize> {
        drop(self.stdin);
        let rest = self.stdout.by_ref().lines().count();
        self.child.wait().map(|_status| rest)
    }

    pub(super) fn receive(&mut self) -> std::io::Result<Value> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the door closed"));
        }
        Ok(serde_json::from_str(&line)?)
    }

    pub(super) fn send(&mut self, message: &Value) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stdin.write_all(&line)
    }
}
