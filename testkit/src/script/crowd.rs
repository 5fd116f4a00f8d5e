//! Many clients at the door at once, each with a relay of its own and several calls under way.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DoorClient, Ending};

/// Calls one client has under way.
const WINDOW: usize = 8;
/// So many calls go by between two lines that are no message.
const MALFORMED_EVERY: u32 = 40;
/// Files the repository has for the crowd: `f/0.txt` and so on, each with a line of its own.
pub const FILES: u32 = 50;

/// How many clients, and how many calls each of them makes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// Clients, half of them of each era.
    pub clients: u32,
    /// Calls of each.
    pub calls: u32,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CrowdReport {
    /// Calls made.
    pub calls: u32,
    /// Calls answered with what they asked for.
    pub right: u32,
    /// Calls answered with a refusal.
    pub refused: u32,
    /// Lines sent that are no message.
    pub malformed: u32,
    /// Those answered as what they are.
    pub malformed_answered: u32,
    /// Answers that belong to nothing, or say something else than was asked for.
    pub wrong: Vec<String>,
}

impl CrowdReport {
    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.right = self.right.saturating_add(other.right);
        self.refused = self.refused.saturating_add(other.refused);
        self.malformed = self.malformed.saturating_add(other.malformed);
        self.malformed_answered = self.malformed_answered.saturating_add(other.malformed_answered);
        self.wrong.extend(other.wrong);
    }
}

/// The content of a file made for the crowd.
#[must_use]
pub fn content(file: u32) -> String {
    format!("this is number {file} and no other\n")
}

/// Lets the clients loose and tells what came of it as JSON.
pub(super) fn crowd(crowd: Crowd) -> std::io::Result<(Ending, String)> {
    let clients: Vec<_> = (0..crowd.clients)
        .map(|number| std::thread::spawn(move || client(number, crowd.calls)))
        .collect();
    let mut report = CrowdReport::default();
    for client in clients {
        let ended = client.join().map_err(|_| Error::other("a client panicked"))?;
        report.add(ended?);
    }
    let sound = report.wrong.is_empty() && report.malformed == report.malformed_answered;
    let ending = if sound { Ending::Ok } else { Ending::Refused };
    Ok((ending, serde_json::to_string(&report)?))
}

/// A call and the text its answer must contain.
fn call(client: u32, n: u32) -> (&'static str, Value, String) {
    let token = format!("token-{client}-{n}-end");
    match n % 100 {
        0 => ("run", json!({"command": format!("echo {token}")}), token),
        by if by % 10 == 1 => {
            let path = format!("made/{token}.txt");
            ("write", json!({"path": path, "content": token}), path)
        }
        by if by % 10 == 2 => {
            let file = n % FILES;
            ("grep", json!({"pattern": format!("number {file} and")}), format!("f/{file}.txt"))
        }
        _ => {
            let file = n.wrapping_mul(7).wrapping_add(client) % FILES;
            ("read", json!({"path": format!("f/{file}.txt")}), content(file).trim_end().to_owned())
        }
    }
}

fn client(number: u32, calls: u32) -> std::io::Result<CrowdReport> {
    let mut door = DoorClient::open()?;
    let mut report = CrowdReport::default();
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    for n in 0..calls {
        let (name, arguments, expected) = call(number, n);
        let id = format!("{number}:{n}");
        let params = if number % 2 == 1 {
            json!({"name": name, "arguments": arguments, "_meta": super::client::metadata()})
        } else {
            json!({"name": name, "arguments": arguments})
        };
        door.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))?;
        open.insert(id, expected);
        report.calls += 1;
        if n % MALFORMED_EVERY == 0 {
            door.send_line(b"{\"jsonrpc\":\"2.0\",\"id\":")?;
            report.malformed += 1;
        }
        while open.len() >= WINDOW {
            take(&door.receive()?, &mut open, &mut report);
        }
    }
    while !open.is_empty() || report.malformed_answered < report.malformed {
        take(&door.receive()?, &mut open, &mut report);
    }
    // What would come now belongs to nothing; the relay passes on everything before it ends.
    match door.finish()? {
        0 => Ok(report),
        more => Err(Error::new(ErrorKind::InvalidData, format!("{more} messages too many"))),
    }
}

fn take(message: &Value, open: &mut BTreeMap<String, String>, report: &mut CrowdReport) {
    let code = message.pointer("/error/code").and_then(Value::as_i64);
    if message.get("id") == Some(&Value::Null) && code == Some(-32700) {
        report.malformed_answered += 1;
        return;
    }
    let id = message.get("id").and_then(Value::as_str).unwrap_or_default();
    let Some(expected) = open.remove(id) else {
        return report.wrong.push(format!("belongs to nothing: {message}"));
    };
    let text = message.pointer("/result/content/0/text").and_then(Value::as_str);
    let failed = message.pointer("/result/isError").and_then(Value::as_bool);
    match (text, failed) {
        (Some(_), Some(true)) => report.refused += 1,
        (Some(text), Some(false)) if text.contains(&expected) => report.right += 1,
        _ => report.wrong.push(format!("{id} expected {expected:?}: {message}")),
    }
}
