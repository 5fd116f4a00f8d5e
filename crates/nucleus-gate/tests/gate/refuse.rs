//! What is refused, by which rule, and that the same request without the refused part passes.

use crate::support::{KEY, body, gate, request, status};

const SCRIPT: &str = r#"{"turns":[{"text":"hello"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_forms_never_reach_the_provider() {
    let (gate, mock) = gate(SCRIPT);
    let head = "host: gate\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for line in [
        "POST //v1/messages",
        "POST /v1/messages/../files",
        "POST /v1/messages/",
        "POST /v1/%6dessages",
        "POST /v1/messages?beta=true&a=b",
        "POST /v1/files",
        "GET /v1/messages",
        "GET /v1/models",
        "HEAD /",
        "DELETE /v1/files/f",
        "POST /v1/messages/batches",
        "HEAD /api/hello",
        "OPTIONS *",
        "POST http://api.anthropic.com/v1/messages",
        "GET http://169.254.169.254/latest/meta-data",
        "CONNECT evil.example:443",
        "POST /v1/messages\\..\\files",
        "POST /v1/messages;/../files",
    ] {
        let answer = gate.raw(format!("{line} HTTP/1.1\r\n{head}").as_bytes()).await;
        assert!((400..500).contains(&status(&answer)), "{line}: {answer}");
        assert!(!answer.contains(KEY));
    }
    assert!(mock.requests().is_empty());
    let text = gate.book.text();
    assert!(text.contains("gate.route") && text.contains("gate.form"), "{text}");
    assert_eq!(status(&gate.post(&body("")).await), 200);
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_providers_form_and_tell_the_rule_and_the_next_step() {
    let (gate, mock) = gate(SCRIPT);
    let tool = |tool: &str| body(&format!(",\"tools\":[{tool}]"));
    let answer = gate.post(&tool(r#"{"type":"web_search_20250305","name":"web_search"}"#)).await;
    assert_eq!(status(&answer), 400);
    let (head, json) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("x-nucleus-rule: gate.tool.provider_side"), "{head}");
    assert!(head.contains("x-should-retry: false"), "{head}");
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["type"], "error");
    assert_eq!(json["error"]["type"], "invalid_request_error");
    let message = json["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("tools[0]") && message.contains("use the tools of this sandbox"),
        "{message}"
    );
    let own = tool(r#"{"name":"web_search","input_schema":{"type":"object"}}"#);
    assert_eq!(status(&gate.post(&own).await), 200);
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_before_the_ledger_is_asked() {
    let (gate, mock) = gate(SCRIPT);
    let nested = |depth: usize| {
        let schema = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        body(&format!(",\"tools\":[{{\"name\":\"x\",\"input_schema\":{schema}}}]"))
    };
    for (text, code) in [
        (body(",\"max_tokens\":5"), "gate.json.duplicate_key"),
        (body(",\"max_\\u0074okens\":5"), "gate.json.duplicate_key"),
        (
            body(",\"tools\":[{\"name\":\"x\",\"input_schema\":{\"a\":1,\"a\":2}}]"),
            "gate.json.duplicate_key",
        ),
        (nested(80), "gate.json.too_deep"),
        (format!("{} ", body("")).replace("hi", "\\ud800"), "gate.json.syntax"),
        (format!("{}{{}}", body("")), "gate.json.syntax"),
        ("{".to_owned(), "gate.json.syntax"),
        (
            body(",\"mcp_servers\":[{\"type\":\"url\",\"url\":\"https://x\"}]"),
            "gate.field.provider_side",
        ),
        (body("").replace("claude-opus-5-5", "claude-opus-5-5-fast"), "gate.model.no_price"),
    ] {
        let answer = gate.post(&text).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains(code), "{code}: {answer}");
    }
    let mut bytes = request("/v1/messages", "", &body(""));
    let at = bytes.windows(2).rposition(|pair| pair == b"hi").unwrap();
    bytes[at] = 0xff;
    assert!(gate.raw(&bytes).await.contains("gate.json.not_utf8"));
    assert!(mock.requests().is_empty());
    assert!(!gate.book.text().contains("Admitted"));
    assert_eq!(status(&gate.post(&nested(50)).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_megabytes_are_refused_whether_announced_or_not() {
    let (gate, mock) = gate(SCRIPT);
    let large = body("").replace("hi", &"x".repeat(40 * 1024 * 1024));
    let answer = gate.post(&large).await;
    assert_eq!(status(&answer), 413, "{answer}");
    let mut chunked = b"POST /v1/messages HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend_from_slice(format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()).as_bytes());
    assert_eq!(status(&gate.raw(&chunked).await), 413);
    assert!(mock.requests().is_empty());
    let fits = body("").replace("hi", &"x".repeat(3 * 1024 * 1024));
    assert_eq!(status(&gate.post(&fits).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn smuggled_requests_and_upgrades_stay_outside() {
    let (gate, mock) = gate(SCRIPT);
    let inner = "POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let post = "POST /v1/messages HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n";
    let text = body("");
    let length = text.len();
    for attempt in [
        // Length and chunks disagree.
        format!("{post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}content-length: {length}\r\ncontent-length: 1\r\n\r\n{text}{inner}"),
        format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}content-length: +{length}\r\n\r\n{text}{inner}"),
        format!("{post}content-length: {length}\r\ntrailer: x-api-key\r\n\r\n{text}"),
        format!(
            "{post}connection: upgrade\r\nupgrade: websocket\r\ncontent-length: {length}\r\n\r\n{text}"
        ),
        format!(
            "{post}connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: {length}\r\n\r\n{text}"
        ),
        format!("{post}host: other\r\ncontent-length: {length}\r\n\r\n{text}"),
        format!("{post}content-encoding: gzip\r\ncontent-length: {length}\r\n\r\n{text}"),
        format!("{post}x: y\nz\r\ncontent-length: {length}\r\n\r\n{text}")
            .replace("x: y\nz", "x: y\rz"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let answer = gate.raw(attempt.as_bytes()).await;
        assert!(answer.is_empty() || (400..506).contains(&status(&answer)), "{attempt}\n{answer}");
        assert!(
            !answer.contains("HTTP/1.1 200") && !answer.contains("101 "),
            "{attempt}\n{answer}"
        );
    }
    assert!(mock.requests().is_empty(), "{:?}", mock.requests());
    // The control: the same request with plain framing, and another after it on the same connection.
    let plain = format!("{post}content-length: {length}\r\n\r\n{text}{inner}");
    let answer = gate.raw(plain.as_bytes()).await;
    assert!(answer.contains("HTTP/1.1 200") && answer.contains("HTTP/1.1 404"), "{answer}");
    assert_eq!(mock.requests().len(), 1);
    assert!(mock.requests()[0].path().starts_with("/v1/messages"));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_cookies_and_account_fields_of_the_client_are_discarded() {
    let (gate, mock) = gate(SCRIPT);
    let fields = "x-api-key: theirs\r\nauthorization: Bearer theirs\r\ncookie: a=theirs\r\n\
                  anthropic-organization-id: theirs\r\nanthropic-beta: mcp-client-2025-11-20,effort-2025-11-24\r\n\
                  x-forwarded-for: theirs\r\nproxy-authorization: theirs\r\n";
    let answer = gate.post_with(fields, &body(",\"metadata\":{\"user_id\":\"theirs\"}")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let sent = &mock.requests()[0];
    assert!(!format!("{sent:?}").contains("theirs"), "{sent:?}");
    assert_eq!(sent.headers["x-api-key"], KEY);
    assert_eq!(sent.headers["anthropic-beta"], "effort-2025-11-24");
    assert_eq!(sent.headers["host"], mock.address().to_string());
    let text = gate.book.text();
    assert!(text.contains("UnlistedBetas") && text.contains("ClientCredentials"), "{text}");
    assert!(!text.contains("theirs") && !text.contains(KEY), "{text}");
    for wrong in ["content-type: text/plain\r\n", "anthropic-version: 2099-01-01\r\n"] {
        let answer = gate.post_with(wrong, &body("")).await;
        assert_eq!(status(&answer), 400, "{wrong}");
    }
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_writes_is_escaped_in_reports() {
    let (gate, _mock) = gate(SCRIPT);
    let long = format!("/v1/{}", "x".repeat(5000));
    gate.raw(&request(&long, "", "{}")).await;
    let kind = body("").replace("\"hi\"", "[{\"type\":\"\\u001b[2J\\u202e\"}]");
    gate.post(&kind).await;
    let all = gate.book.text();
    assert!(all.is_ascii() && all.len() < 1500, "{all}");
    assert!(!all.contains('\x1b'), "{all}");
    assert!(all.contains("gate.block.unlisted"), "{all}");
}
