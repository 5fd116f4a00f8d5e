//! Performing one step.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::repeat::repeat;
use super::{Action, DoorClient};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It did what it was meant to do.
    Ok,
    /// It was refused or failed.
    Refused,
}

/// Performs an action; the text is what the agent gets to see.
pub(super) fn perform(
    action: &Action,
    client: &mut Option<DoorClient>,
) -> std::io::Result<(Ending, String)> {
    match action {
        Action::Tool { name, args } => {
            let response =
                door(client)?.request("tools/call", &json!({"name": name, "arguments": args}))?;
            Ok(tool_result(&response))
        }
        Action::Repeat { method, params, times } => repeat(door(client)?, method, params, *times),
        Action::Crowd(crowd) => super::crowd::crowd(*crowd),
        Action::Frame(frame) => Ok(frame_result(&door(client)?.exchange(&frame.bytes())?)),
        Action::Shell(text) => Ok(shell(text)),
        Action::Model(body) => Ok(post_model(body)),
        Action::Gate { method, path } => Ok(http(method, path, "")),
        Action::Dns(name) => Ok(resolve(name)),
        Action::Connect(address) => Ok(connect(address)),
        Action::Sleep(ms) => {
            std::thread::sleep(Duration::from_millis(*ms));
            Ok((Ending::Ok, String::new()))
        }
    }
}

/// The conversation with the door, begun when it is first needed.
fn door(client: &mut Option<DoorClient>) -> std::io::Result<&mut DoorClient> {
    match client {
        Some(door) => Ok(door),
        None => Ok(client.insert(DoorClient::open()?)),
    }
}

/// A line that names an action.
pub(super) fn describe(action: &Action) -> String {
    match action {
        Action::Tool { name, args } => cut(&format!("{name} {args}")),
        Action::Repeat { method, params, times } => {
            cut(&format!("{times} times {method} {params}"))
        }
        Action::Crowd(crowd) => {
            format!("{} clients, {} calls each", crowd.clients, crowd.calls)
        }
        Action::Frame(frame) => {
            cut(&format!("frame of {} bytes: {}", frame.bytes().len(), frame.before))
        }
        Action::Shell(text) => format!("own shell: {text}"),
        Action::Model(_) => "model request".to_owned(),
        Action::Gate { method, path } => format!("gate {method} {path}"),
        Action::Dns(name) => format!("resolve {name}"),
        Action::Connect(address) => format!("connect {address}"),
        Action::Sleep(ms) => format!("sleep {ms} ms"),
    }
}

/// The beginning of a long line.
fn cut(line: &str) -> String {
    const CHARS_MAX: usize = 400;
    let mut shown: String = line.chars().take(CHARS_MAX).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

/// The answer to a line, with the code and the id of a protocol error.
fn frame_result(response: &Value) -> (Ending, String) {
    let member = |name: &str| response.pointer(name).cloned().unwrap_or_default();
    match response.get("error") {
        Some(_) => (
            Ending::Refused,
            format!(
                "error {} for {}: {}",
                member("/error/code"),
                member("/id"),
                member("/error/message")
            ),
        ),
        None if member("/result/resultType") == "input_required" => {
            (Ending::Refused, format!("input_required {}", member("/result/requestState")))
        }
        None => tool_result(response),
    }
}

fn tool_result(response: &Value) -> (Ending, String) {
    if let Some(error) = response.get("error") {
        return (
            Ending::Refused,
            error.get("message").and_then(Value::as_str).unwrap_or("error").to_owned(),
        );
    }
    let result = response.get("result").cloned().unwrap_or_default();
    let text: Vec<&str> = result
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|block| block.get("text").and_then(Value::as_str))
        .collect();
    let refused = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
    (if refused { Ending::Refused } else { Ending::Ok }, text.join("\n"))
}

fn shell(text: &str) -> (Ending, String) {
    match Command::new("/bin/sh").arg("-c").arg(text).output() {
        Ok(output) => {
            let mut shown = String::from_utf8_lossy(&output.stdout).into_owned();
            shown.push_str(&String::from_utf8_lossy(&output.stderr));
            (if output.status.success() { Ending::Ok } else { Ending::Refused }, shown)
        }
        Err(error) => (Ending::Refused, error.to_string()),
    }
}

fn post_model(body: &Value) -> (Ending, String) {
    http("POST", "/v1/messages", &body.to_string())
}

fn http(method: &str, path: &str, body: &str) -> (Ending, String) {
    let exchange = || -> std::io::Result<String> {
        let base = std::env::var("ANTHROPIC_BASE_URL").unwrap_or_default();
        let address = base.strip_prefix("http://").unwrap_or("127.0.0.1:1").to_owned();
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nx-api-key: mine\r\n\
             anthropic-version: 2023-06-01\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match exchange() {
        Ok(answer) => {
            let ok = answer.starts_with("HTTP/1.1 200");
            let body =
                answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned());
            (if ok { Ending::Ok } else { Ending::Refused }, body)
        }
        Err(error) => (Ending::Refused, error.to_string()),
    }
}

fn resolve(name: &str) -> (Ending, String) {
    match (name, 80_u16).to_socket_addrs() {
        Ok(addresses) => {
            (Ending::Ok, addresses.map(|a| a.to_string()).collect::<Vec<_>>().join(" "))
        }
        Err(error) => (Ending::Refused, error.to_string()),
    }
}

fn connect(address: &str) -> (Ending, String) {
    let attempt = address.to_socket_addrs().and_then(|mut all| {
        let first = all.next().ok_or_else(|| std::io::Error::other("no address"))?;
        TcpStream::connect_timeout(&first, Duration::from_secs(3))
    });
    match attempt {
        Ok(_stream) => (Ending::Ok, "connected".to_owned()),
        Err(error) => (Ending::Refused, error.to_string()),
    }
}
