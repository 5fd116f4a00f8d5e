//! Revisions with a handshake and the one without, on the same door.

use serde_json::{Value, json};
use testkit::mcp::{Era, McpClient};
use testkit::script::metadata;

use crate::stage::{client, command, hosts};

fn read() -> Value {
    json!({"name": "read", "arguments": {"path": "README.md"}})
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

#[test]
fn a_stateless_client_needs_nothing_but_its_request() {
    for host in hosts() {
        let mut client = McpClient::raw(&mut command(&host), Era::Stateless);
        let (failed, text) = client.call("read", json!({"path": "README.md"}));
        assert!(!failed && text.contains("# A repository"), "{text}");
        let found = client.ask("server/discover", json!({}))["result"].clone();
        assert_eq!(found["supportedVersions"], json!(["2026-07-28", "2025-11-25", "2025-06-18"]));
        assert_eq!(found["capabilities"], json!({"tools": {"listChanged": false}}));
        assert!(found["instructions"].as_str().unwrap().contains("Only calls of these tools"));
        let listed = client.ask("tools/list", json!({}))["result"].clone();
        for result in [&found, &listed] {
            assert_eq!(result["resultType"], "complete");
            assert_eq!(result["cacheScope"], "private");
            assert!(result["ttlMs"].is_u64(), "{result}");
            let server = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
            assert_eq!(server["name"], "nucleus", "{result}");
        }
        assert_eq!(client.ask("tools/list", json!({}))["result"]["tools"], listed["tools"]);
        let called = client.ask("tools/call", read())["result"].clone();
        assert_eq!(called["resultType"], "complete");
        for gone in ["ping", "initialize", "resources/list", "logging/setLevel", "tasks/get"] {
            let params = json!({"protocolVersion": "2025-11-25"});
            assert_eq!(code(&client.ask(gone, params)), -32601, "{gone}");
        }
        let (outcome, rest) = client.leave();
        assert_eq!((outcome.code, rest), (Some(0), vec![]), "{outcome}");
    }
}

#[test]
fn metadata_is_whole_and_of_a_known_revision_or_refused() {
    let host = hosts().remove(0);
    let mut client = McpClient::raw(&mut command(&host), Era::Handshake);
    let mut with = |change: &dyn Fn(&mut Value)| {
        let mut params = read();
        params["_meta"] = metadata();
        change(&mut params);
        client.ask("tools/call", params)
    };
    assert_eq!(with(&|_| {})["result"]["isError"], false, "the control");
    for key in ["protocolVersion", "clientCapabilities"] {
        let key = format!("io.modelcontextprotocol/{key}");
        let answer = with(&|params| {
            params["_meta"].as_object_mut().unwrap().remove(&key);
        });
        assert_eq!(code(&answer), -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(&key), "{answer}");
    }
    for version in ["2025-11-25", "2027-01-01", "2026-07-28 "] {
        let answer = with(&|params| {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = version.into();
        });
        assert_eq!(code(&answer), -32022, "{answer}");
        assert_eq!(answer["error"]["data"]["requested"], version);
        assert_eq!(answer["error"]["data"]["supported"][0], "2026-07-28");
    }
    // Without metadata it is for an earlier revision, which would have begun with `initialize`.
    for (method, params) in [
        ("tools/call", read()),
        ("tools/list", json!({})),
        ("server/discover", json!({})),
        ("no/such", json!({})),
    ] {
        let answer = client.ask(method, params);
        assert_eq!(code(&answer), -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("initialize"), "{answer}");
    }
    assert_eq!(client.ask("ping", json!({}))["result"], json!({}));
    client.leave().0.expect_code(0);
}

#[test]
fn both_eras_are_served_on_one_connection() {
    let host = hosts().remove(0);
    host.file("conf/.npmrc", "canary\n");
    for asked in ["2025-06-18", "2025-11-25"] {
        let mut client = McpClient::raw(&mut command(&host), Era::Handshake);
        let opening = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {}});
        let opened = client.ask("initialize", opening)["result"].clone();
        assert_eq!(opened["protocolVersion"], asked);
        assert!(opened.get("resultType").is_none(), "{opened}");
        let instructions = opened["instructions"].as_str().unwrap();
        assert!(instructions.contains("Only calls of these tools are enforced"), "{opened}");
        assert!(instructions.contains("no command can read them: conf/.npmrc."), "{opened}");
        let plain = client.ask("tools/call", read())["result"].clone();
        assert!(plain.get("resultType").is_none(), "{plain}");
        for unknown in ["server/discover", "subscriptions/listen"] {
            let answer = client.ask(unknown, json!({"notifications": {}}));
            assert_eq!(code(&answer), -32601, "{answer}");
        }
        let mut params = read();
        params["_meta"] = metadata();
        let stateless = client.ask("tools/call", params)["result"].clone();
        assert_eq!(stateless["resultType"], "complete");
        assert_eq!(stateless["content"], plain["content"]);
        client.leave().0.expect_code(0);
    }
}

#[test]
fn a_stream_of_changes_is_acknowledged_as_empty_and_ends_when_taken_back() {
    let host = hosts().remove(0);
    let mut client = client(&host, Era::Stateless);
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let id = client.begin("subscriptions/listen", listen.clone());
    let acknowledged = client.receive();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let params = &acknowledged["params"];
    assert_eq!(params["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
    assert_eq!(params["notifications"], json!({}));
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id}}));
    // Held open they are bounded; one that was taken back holds nothing.
    for _ in 0..8 {
        client.begin("subscriptions/listen", listen.clone());
        assert_eq!(client.receive()["method"], "notifications/subscriptions/acknowledged");
    }
    assert_eq!(code(&client.ask("subscriptions/listen", listen)), -32600);
    assert!(!client.call("read", json!({"path": "README.md"})).0);
    let (outcome, rest) = client.leave();
    assert_eq!((outcome.code, rest), (Some(0), vec![]), "{outcome}");
}
