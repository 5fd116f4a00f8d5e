//! Progress of long calls, and calls that are taken back.

use serde_json::{Value, json};
use testkit::mcp::{Era, McpClient};

use crate::stage::{client, hosts, runs, until};

/// A command that ignores every signal it can, and so do its children; `mark` tells it from others.
fn stubborn(mark: &str) -> Value {
    let script = format!(
        "trap '' INT TERM HUP QUIT; (trap '' INT TERM HUP QUIT; while :; do sleep 1; done; : {mark}) & while :; do sleep 1; done; : {mark}"
    );
    json!({"name": "run", "arguments": {"argv": ["sh", "-c", script]}, "_meta": {"progressToken": mark}})
}

fn mark(of: &str) -> String {
    format!("mark-{of}-{}", std::process::id())
}

/// Begins a command that will not end, and waits until it runs.
fn begin(client: &mut McpClient, mark: &str) -> u64 {
    let id = client.begin("tools/call", stubborn(mark));
    until("the command runs", || runs(mark));
    id
}

fn cancel(client: &mut McpClient, id: u64) {
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id, "reason": "a test"}}));
}

#[test]
fn a_call_that_is_taken_back_is_killed_with_all_its_processes_and_never_answered() {
    for host in hosts() {
        for era in [Era::Handshake, Era::Stateless] {
            let mut client = client(&host, era);
            let mark = mark(&format!("cancel-{era:?}-{:?}", host.account()));
            let id = begin(&mut client, &mark);
            // While it runs, its id is taken.
            client.send(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
            cancel(&mut client, id);
            until("the command is gone", || !runs(&mark));
            // Ids that are over, or never were, are no error.
            cancel(&mut client, id);
            cancel(&mut client, 4_711);
            client.line(
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
            );
            assert!(!client.call("read", json!({"path": "README.md"})).0);
            client.notes.retain(|note| {
                note.get("id") == Some(&json!(id)) && note.get("result") != Some(&json!({}))
            });
            let (outcome, rest) = client.leave();
            let answers: Vec<&Value> = rest
                .iter()
                .filter(|m| {
                    m["id"] == id && m["error"]["code"] != -32601 && m["result"] != json!({})
                })
                .collect();
            assert!(answers.is_empty(), "{answers:?}");
            assert_eq!(outcome.code, Some(0), "{outcome}");
            assert!(outcome.says("log verified"), "{outcome}");
        }
    }
}

#[test]
fn closing_the_connection_takes_every_call_back() {
    for host in hosts() {
        let mut client = client(&host, Era::Stateless);
        let marks: Vec<String> =
            (0..3).map(|n| mark(&format!("close-{n}-{:?}", host.account()))).collect();
        for mark in &marks {
            begin(&mut client, mark);
        }
        let (outcome, rest) = client.leave();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(rest.iter().all(|message| message.get("result").is_none()), "{rest:?}");
        assert!(marks.iter().all(|mark| !runs(mark)), "{outcome}");
        assert!(outcome.says("log verified"), "{outcome}");
    }
}

#[test]
fn progress_grows_and_stops_with_the_answer() {
    let host = hosts().remove(0);
    for era in [Era::Handshake, Era::Stateless] {
        let mut client = client(&host, era);
        let slow = |token: Value| json!({"name": "run", "arguments": {"command": "sleep 5; echo over"}, "_meta": token});
        let answer = client.ask("tools/call", slow(json!({"progressToken": "p-1"})));
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        let notes = std::mem::take(&mut client.notes);
        assert!(notes.iter().all(|note| note["method"] == "notifications/progress"
            && note["params"]["progressToken"] == "p-1"));
        let steps: Vec<u64> =
            notes.iter().filter_map(|note| note["params"]["progress"].as_u64()).collect();
        assert!(steps.len() >= 2 && steps.is_sorted_by(|a, b| a < b), "{notes:?}");
        let quiet = client.ask("tools/call", slow(json!({})));
        assert_eq!(quiet["result"]["isError"], false, "{quiet}");
        assert_eq!(client.notes, Vec::<Value>::new(), "nobody asked for progress");
        let (outcome, rest) = client.leave();
        assert_eq!((outcome.code, rest), (Some(0), vec![]), "{outcome}");
    }
}

#[test]
fn an_id_in_use_is_refused_and_its_call_goes_on() {
    let host = hosts().remove(0);
    let mut client = client(&host, Era::Handshake);
    let call = |command: &str| {
        json!({"jsonrpc": "2.0", "id": "same", "method": "tools/call",
               "params": {"name": "run", "arguments": {"command": command}}})
    };
    client.send(&call("sleep 2; echo the first"));
    client.send(&call("echo the second"));
    let (refused, first) = (client.receive(), client.receive());
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    let text = first["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("the first"), "{first}");
    client.send(&call("echo again"));
    assert!(client.receive()["result"].is_object(), "over, the id is free");
    client.leave().0.expect_code(0);
}
