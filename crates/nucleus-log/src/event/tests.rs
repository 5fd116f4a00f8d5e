//! Events as bytes.

use super::*;

#[test]
fn members_stand_in_the_documented_order() {
    let event = Event {
        tool: Some("run".into()),
        target: Some("cargo test".into()),
        result: Some("success".into()),
        phase: Phase::Outcome,
        request_id: Some("r1".into()),
        principal: Some("pod:1".into()),
        decision: Some("allow".into()),
        rule: Some("allow.level".into()),
        policy_digest: Some("p".into()),
        approval_id: Some("a".into()),
        grant_nonce: Some("n".into()),
        args_digest: Some("d".into()),
        duration_ms: Some(1),
        bytes_returned: Some(2),
        cost_micro_usd: Some(3),
        detail: [("z".to_owned(), 1.into()), ("a".to_owned(), "b".into())].into_iter().collect(),
        ..Event::new("tool_execution", "agent-1")
    };
    let stamp = Stamp { monotonic_us: 5, boot_id: "boot".into() };
    let bytes = event.encode(&stamp, 10_000).unwrap();
    let expected = concat!(
        r#"{"type":"tool_execution","agent_id":"agent-1","tool":"run","target":"cargo test","#,
        r#""result":"success","phase":"outcome","request_id":"r1","principal":"pod:1","#,
        r#""decision":"allow","rule":"allow.level","policy_digest":"p","approval_id":"a","#,
        r#""grant_nonce":"n","args_digest":"d","monotonic_us":5,"boot_id":"boot","#,
        r#""duration_ms":1,"bytes_returned":2,"cost_micro_usd":3,"detail":{"a":"b","z":1}}"#,
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    let smallest = Event::new("t", "").encode(&stamp, 10_000).unwrap();
    let text = r#"{"type":"t","agent_id":"","phase":"note","monotonic_us":5,"boot_id":"boot"}"#;
    assert_eq!(String::from_utf8(smallest).unwrap(), text);
    assert_eq!(Event::new("", "a").encode(&stamp, 100), Err(EventError::NoKind));
}

#[test]
fn the_largest_value_shrinks_first_and_only_while_it_must() {
    let stamp = Stamp { monotonic_us: 5, boot_id: "boot".into() };
    let event = Event {
        tool: Some("t".repeat(300)),
        target: Some("x".repeat(400)),
        result: Some("r".repeat(200)),
        ..Event::new("k", "a")
    };
    let shrunk = |budget| -> Value {
        serde_json::from_slice(&event.encode(&stamp, budget).unwrap()).unwrap()
    };
    assert!(shrunk(2_000)["target"].is_string());
    let one = shrunk(900);
    assert!(one["target"].is_object() && one["tool"].is_string() && one["result"].is_string());
    assert_eq!(one["target"]["size"], 402);
    let two = shrunk(600);
    assert!(two["target"].is_object() && two["tool"].is_object() && two["result"].is_string());
}
