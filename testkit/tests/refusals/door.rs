//! Frames at the door that are no calls: each gets an answer, the connection goes on, and the log has it.

use serde_json::json;
use testkit::host::Host;
use testkit::script::{Action, Ending, RawFrame, Script, Step};

use crate::aftermath::{hosts, nothing_runs};

fn frame(frame: RawFrame, contains: &str) -> Step {
    Step {
        action: Some(Action::Frame(frame)),
        expect: Some(Ending::Refused),
        contains: Some(contains.to_owned()),
        ..Step::default()
    }
}

fn text(line: &str, contains: &str) -> Step {
    frame(RawFrame::text(line), contains)
}

fn call(name: &str, args: serde_json::Value, contains: &str) -> Step {
    let action = Action::Tool { name: name.to_owned(), args };
    Step {
        action: Some(action),
        expect: Some(Ending::Refused),
        contains: Some(contains.to_owned()),
        ..Step::default()
    }
}

/// An ordinary call, which shows that the connection is alive.
fn alive() -> Step {
    let action = Action::Tool { name: "read".to_owned(), args: json!({"path": "README.md"}) };
    Step {
        action: Some(action),
        expect: Some(Ending::Ok),
        contains: Some("A repository".to_owned()),
        ..Step::default()
    }
}

fn play(host: &Host, steps: Vec<Step>) {
    let steps = steps.into_iter().flat_map(|step| [step, alive()]).collect();
    let outcome = host
        .script_with(&Script { steps }, &["--profile", "fix-issue", "--timeout", "120"])
        .expect_code(0);
    assert!(!outcome.says("does not expect"), "{outcome}");
    host.verify(&host.logs().pop().unwrap()).expect_code(0);
    nothing_runs(host, &outcome);
}

#[test]
fn frames_that_are_no_messages_are_answered_and_survived() {
    for host in hosts() {
        let nested = |depth: usize| RawFrame {
            before: r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":"#.to_owned(),
            fill: "[".to_owned(),
            times: depth,
            after: format!("{}}}", "]".repeat(depth)),
            ..RawFrame::default()
        };
        play(
            &host,
            vec![
                text("hello", "error -32700"),
                text("{", "error -32700"),
                text("[]", "error -32600"),
                text("null", "error -32600"),
                text("{}", "error -32600"),
                text(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "error -32600"),
                text(
                    r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#,
                    "duplicate key",
                ),
                text(
                    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"path":"a","path":"README.md"}}}"#,
                    "duplicate key",
                ),
                text(r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#, "error -32601"),
                text(r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "error -32600"),
                text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":3}"#, "error -3260"),
                text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"} trailing"#, "error -32700"),
                frame(nested(65), "deep"),
                frame(nested(100_000), "deep"),
                frame(
                    RawFrame {
                        before: r#"{"jsonrpc":"2.0","id":1,"method":""#.to_owned(),
                        after: r#""}"#.to_owned(),
                        not_utf8: true,
                        ..RawFrame::default()
                    },
                    "UTF-8",
                ),
                frame(
                    RawFrame {
                        before: r#"{"jsonrpc":"2.0","id":1,"method":""#.to_owned(),
                        fill: "x".repeat(1024),
                        times: 5 * 1024,
                        after: r#""}"#.to_owned(),
                        ..RawFrame::default()
                    },
                    "4194304",
                ),
            ],
        );
    }
}

#[test]
fn unknown_tools_and_arguments_are_named() {
    for host in hosts() {
        play(
            &host,
            vec![
                call("fly", json!({}), "fly"),
                call("read", json!({}), "path"),
                call("read", json!({"path": "README.md", "colour": 1}), "colour"),
                call("read", json!({"path": 3}), "path"),
                call("read", json!({"path": "README.md", "offset": -1}), "offset"),
                call("read", json!({"path": ""}), "path"),
                call("read", json!({"path": "a\0b"}), "path"),
                call("read", json!({"path": "../home"}), ".."),
                call("read", json!({"path": "/etc/passwd"}), "path"),
                call("read", json!({"path": "x".repeat(5_000)}), "4096"),
                call("write", json!({"path": "made"}), "content"),
                call("run", json!({}), "command"),
                call("run", json!({"argv": [], "command": "true"}), "argv"),
                call("run", json!({"argv": []}), "argv"),
                call("run", json!({"command": "x".repeat(20_000)}), "16384"),
                call("run", json!({"command": "true", "timeout_ms": 0}), "timeout_ms"),
                call("grep", json!({"pattern": "(a+)+"}), "pattern"),
                call("grep", json!({"pattern": "["}), "pattern"),
                call("grep", json!({"pattern": "x".repeat(2_000)}), "1024"),
                call("glob", json!({"pattern": "[z-a"}), "pattern"),
                call(
                    "edit",
                    json!({"path": "README.md", "old_string": "", "new_string": "x"}),
                    "old_string",
                ),
                call(
                    "edit",
                    json!({"path": "README.md", "old_string": "not there", "new_string": "x"}),
                    "not",
                ),
                call("job_output", json!({"job": "nope"}), "nope"),
                call("approvals_status", json!({"id": "nope"}), "approvals_status"),
            ],
        );
        assert_eq!(host.read("made"), None);
        assert_eq!(host.read("README.md").as_deref(), Some("# A repository\n"));
    }
}
