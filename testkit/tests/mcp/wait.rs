//! A call that waits for a person: `input_required` keeps the client waiting, and grants nothing.

use serde_json::json;
use testkit::host::Host;
use testkit::script::{Action, Ending, RawFrame, Script, Step, metadata};

use crate::stage::{events, hosts};

const ASKS: &str = "[capabilities]\nread_files = \"always\"\nwrite_files = \"always\"\nrun_bash = \"always\"\n[obligations]\napprovals = [\"run_bash\"]\n";

/// A call of the stateless revision, made again with `state` if there is one.
fn call(id: u64, state: Option<&str>) -> Step {
    let mut params = json!({"name": "run", "arguments": {"command": "echo ran >> ran.txt"}});
    params["_meta"] = metadata();
    if let Some(state) = state {
        params["requestState"] = state.into();
        params["inputResponses"] =
            json!({"approval": {"action": "accept", "content": {"approve": true}}});
    }
    let line = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    Step { action: Some(Action::Frame(RawFrame::text(line.to_string()))), ..Step::default() }
}

fn terminal(host: &Host, steps: Vec<Step>) -> testkit::host::Terminal {
    host.put(host.place(), "permissions.toml", ASKS.as_bytes());
    let config = host.place().join("permissions.toml");
    let script = Script { steps };
    host.at_terminal(&host.script_command(&script, &["--config", config.to_str().unwrap()]))
}

#[test]
fn a_state_that_was_made_up_is_refused_and_asks_nobody() {
    for host in hosts() {
        let made_up = Step {
            expect: Some(Ending::Refused),
            contains: Some("error -32602".to_owned()),
            ..call(1, Some("00112233445566778899aabbccddeeff"))
        };
        let outcome = terminal(&host, vec![made_up]).outcome().expect_code(0);
        assert!(!outcome.says("does not expect"), "{outcome}");
        assert!(!outcome.says("to approve once"), "{outcome}");
        assert_eq!(host.read("ran.txt"), None);
    }
}

#[test]
fn the_client_is_kept_waiting_and_only_the_person_decides() {
    // The wait of one call is half a minute, so one account has to do.
    let host = hosts().remove(0);
    let waits = Step { contains: Some("input_required".to_owned()), ..call(1, None) };
    let pause = Step { action: Some(Action::Sleep(500)), ..Step::default() };
    let again = Step { contains: Some("exit 0".to_owned()), ..call(2, None) };
    let mut terminal = terminal(&host, vec![waits, pause, again]);
    let shown = terminal.read_until(" to approve once");
    let (_, rest) = shown.rsplit_once("  type ").unwrap();
    let id = rest.split_whitespace().next().unwrap().to_owned();
    std::thread::sleep(std::time::Duration::from_secs(32));
    assert!(!events(&host).iter().any(|event| event["phase"] == "intent"), "nobody has decided");
    terminal.enter(&format!("{id}\n"));
    let outcome = terminal.outcome().expect_code(0);
    assert!(!outcome.says("does not expect"), "{outcome}");
    assert_eq!(host.read("ran.txt").as_deref(), Some("ran\n"), "{outcome}");
}
