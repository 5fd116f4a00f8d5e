mod canary;
mod others;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::ledger::Remaining;
use crate::refusal::Unlisted;
use crate::secret::Secret;

fn prepare(body: &str) -> Result<Prepared, Refusal> {
    let adapter = Adapter::new(Provider::Anthropic, false).unwrap();
    let uri = "/v1/messages?beta=true".parse().unwrap();
    let route = adapter.route(&Method::POST, &uri).unwrap();
    adapter.prepare(&route, body.as_bytes(), &PriceTable::builtin().unwrap())
}

fn sent(body: &str, max_output_tokens: u64) -> String {
    let prepared = prepare(body).unwrap();
    String::from_utf8(
        Adapter::new(Provider::Anthropic, false).unwrap().body(prepared, max_output_tokens),
    )
    .unwrap()
}

/// A request with `extra` top-level members and `blocks` as the content of its one message.
fn request(extra: &str, blocks: &str) -> String {
    format!(
        r#"{{"model":"claude-opus-5-5","max_tokens":100{extra},"messages":[{{"role":"user","content":[{blocks}]}}]}}"#
    )
}

fn refused(body: &str) -> String {
    match prepare(body) {
        Err(refusal) => refusal.code().to_owned(),
        Ok(_) => panic!("{body} should be refused"),
    }
}

const TEXT: &str = r#"{"type":"text","text":"hi"}"#;

#[test]
fn what_claude_code_sends_passes_with_its_order_and_its_opaque_parts() {
    let body = r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"say hi"},{"role":"system","content":[{"type":"text","text":"env","cache_control":{"type":"ephemeral"}}],"output_config":{"effort":"medium"}},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"tool_use","id":"t","name":"Bash","input":{"z":1.50,"a":[{"source":{"type":"url"}}]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"tool_reference","tool_name":"x"}],"is_error":false}]}],"system":[{"type":"text","text":"s"}],"tools":[{"name":"Bash","description":"d","input_schema":{"type":"object","$schema":"x","properties":{}},"defer_loading":true}],"max_tokens":100,"thinking":{"type":"adaptive","display":"omitted"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"medium"},"stream":true}"#;
    assert_eq!(sent(body, 100), body);
    let prepared = prepare(body).unwrap();
    assert!(prepared.stream && prepared.unknown.is_empty(), "{:?}", prepared.unknown);
    let with_metadata =
        body.replace("\"stream\":true", "\"stream\":true,\"metadata\":{\"user_id\":\"u\"}");
    assert_eq!(sent(&with_metadata, 100), body);
}

#[test]
fn remote_content_is_refused_at_every_depth_and_the_same_content_inline_passes() {
    for (kind, source) in [
        ("image", r#"{"type":"url","url":"https://x/y.png"}"#),
        ("image", r#"{"type":"file","file_id":"f"}"#),
        ("document", r#"{"type":"url","url":"https://x/y.pdf"}"#),
        ("document", r#"{"type":"file","file_id":"f"}"#),
    ] {
        let remote = format!(r#"{{"type":"{kind}","source":{source}}}"#);
        let inline = format!(
            r#"{{"type":"{kind}","source":{{"type":"base64","media_type":"image/png","data":"aGk="}}}}"#
        );
        let nested = |block: &str| {
            format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{block}]}}"#)
        };
        let in_document = |block: &str| {
            format!(r#"{{"type":"document","source":{{"type":"content","content":[{block}]}}}}"#)
        };
        assert_eq!(refused(&request("", &remote)), "gate.source.remote");
        assert_eq!(refused(&request("", &nested(&remote))), "gate.source.remote");
        assert!(prepare(&request("", &inline)).is_ok());
        assert!(prepare(&request("", &nested(&inline))).is_ok());
        if kind == "image" {
            let both = nested(&in_document(&remote));
            assert_eq!(refused(&request("", &both)), "gate.source.remote");
            assert!(prepare(&request("", &nested(&in_document(&inline)))).is_ok());
        }
    }
}

#[test]
fn a_source_is_rebuilt_from_its_own_fields() {
    let block = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk=","url":"https://x"}}"#;
    assert!(!sent(&request("", block), 100).contains("https://x"));
    assert!(prepare(&request("", block)).unwrap().unknown.contains("base64.url"));
}

#[test]
fn provider_side_tools_are_refused_and_the_clients_own_pass() {
    let tools = |tool: &str| request(&format!(",\"tools\":[{tool}]"), TEXT);
    for kind in [
        "web_search_20250305",
        "web_search_20260318",
        "web_fetch_20250910",
        "code_execution_20250825",
        "mcp_toolset",
        "advisor_20260301",
        "tool_search_tool_regex_20251119",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
        "computer_20251124",
        "file_search",
        "custom ",
        "CUSTOM",
    ] {
        let tool = format!(r#"{{"type":"{kind}","name":"x","input_schema":{{}}}}"#);
        assert_eq!(refused(&tools(&tool)), "gate.tool.provider_side", "{kind}");
    }
    for tool in [
        r#"{"name":"web_search","input_schema":{}}"#,
        r#"{"type":"custom","name":"x","input_schema":{"type":"web_search_20250305"}}"#,
        r#"{"type":null,"name":"x","input_schema":{}}"#,
        r#"{"type":"bash_20250124","name":"bash"}"#,
    ] {
        assert!(prepare(&tools(tool)).is_ok(), "{tool}");
    }
    let called = r#"{"name":"x","input_schema":{},"allowed_callers":["code_execution_20260120"]}"#;
    assert!(!sent(&tools(called), 100).contains("allowed_callers"));
    assert_eq!(refused(&tools(r#"{"type":["custom"],"name":"x"}"#)), "gate.shape");
}

#[test]
fn tools_added_within_the_conversation_follow_the_same_rule() {
    let change = |tool: &str| request("", &format!(r#"{{"type":"tool_addition","tool":{tool}}}"#));
    let definition =
        r#"{"type":"tool_definition","definition":{"type":"web_search_20250305","name":"w"}}"#;
    assert_eq!(refused(&change(definition)), "gate.tool.provider_side");
    assert_eq!(
        refused(&change(r#"{"type":"mcp_toolset_reference","name":"w"}"#)),
        "gate.tool.provider_side"
    );
    assert!(prepare(&change(r#"{"type":"tool_reference","name":"w"}"#)).is_ok());
}

#[test]
fn fields_that_let_the_provider_act_are_refused_and_null_is_absence() {
    for field in
        ["mcp_servers", "container", "fallbacks", "thread", "background", "store", "compaction"]
    {
        let body = request(&format!(",\"{field}\":[{{\"url\":\"https://x\"}}]"), TEXT);
        assert_eq!(refused(&body), "gate.field.provider_side", "{field}");
        assert!(prepare(&request(&format!(",\"{field}\":null"), TEXT)).is_ok(), "{field}");
    }
}

#[test]
fn blocks_of_provider_side_work_are_refused() {
    for kind in [
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "container_upload",
        "compaction",
        "fallback",
        "search_result",
        "x\u{202e}",
    ] {
        let body = request("", &format!(r#"{{"type":"{kind}"}}"#));
        assert_eq!(refused(&body), "gate.block.unlisted", "{kind}");
    }
    let by_code = r#"{"type":"tool_use","id":"t","name":"x","input":{},"caller":{"type":"code_execution_20260120"}}"#;
    assert_eq!(refused(&request("", by_code)), "gate.variant.unlisted");
    assert!(prepare(&request("", &by_code.replace("code_execution_20260120", "direct"))).is_ok());
    let refusal = prepare(&request("", r#"{"type":"a\u202e\u001b"}"#)).unwrap_err();
    assert!(matches!(refusal, Refusal::Unlisted { what: Unlisted::Block, .. }));
    assert!(refusal.to_string().is_ascii(), "{refusal}");
}

#[test]
fn fields_nobody_lists_are_left_out_and_counted_and_dearer_service_is_left_out() {
    let body = request(
        r#","speed":"fast","inference_geo":"us","service_tier":"auto","brand_new":{"a":1}"#,
        TEXT,
    );
    let prepared = prepare(&body).unwrap();
    assert_eq!(prepared.unknown.into_iter().collect::<Vec<_>>(), ["request.brand_new"]);
    assert_eq!(sent(&body, 100), request("", TEXT));
    let edits = r#","context_management":{"edits":[{"type":"compact_20260112"},{"type":"clear_thinking_20251015"}]}"#;
    let kept = r#","context_management":{"edits":[{"type":"clear_thinking_20251015"}]}"#;
    assert_eq!(sent(&request(edits, TEXT), 100), request(kept, TEXT));
}

#[test]
fn wrong_forms_are_refused_with_their_place() {
    for (body, expected) in [
        (request(",\"stream\":\"yes\"", TEXT), "stream must be true or false"),
        (request(",\"top_k\":-1", TEXT), "top_k must be a non-negative integer"),
        (
            request("", r#"{"type":"text","text":5}"#),
            "messages[0].content[0].text must be a string",
        ),
        (request("", "[]"), "messages[0].content[0] must be an object"),
        ("[]".to_owned(), "the body must be an object"),
        ("{}".to_owned(), "the body lacks model"),
        (r#"{"model":"claude-opus-5-5"}"#.to_owned(), "the body lacks messages"),
        (r#"{"model":"claude-opus-5-5","messages":[]}"#.to_owned(), "the body lacks max_tokens"),
    ] {
        let refusal = prepare(&body).err().unwrap();
        assert_eq!(refusal.to_string(), expected, "{body}");
    }
    let body = r#"{"model":"gpt-9","messages":[],"max_tokens":1}"#;
    assert_eq!(refused(body), "gate.model.no_price");
}

#[test]
fn output_and_thinking_are_lowered_together() {
    let ask = |tokens: u64, budget: u64| {
        let body = request(
            &format!(",\"thinking\":{{\"type\":\"enabled\",\"budget_tokens\":{budget}}}"),
            TEXT,
        );
        body.replace("\"max_tokens\":100", &format!("\"max_tokens\":{tokens}"))
    };
    assert!(sent(&ask(20_000, 10_000), 20_000).contains("\"budget_tokens\":10000"));
    let lowered = sent(&ask(20_000, 10_000), 5_000);
    assert!(lowered.contains("\"max_tokens\":5000") && lowered.contains("\"budget_tokens\":4999"));
    let small = sent(&ask(20_000, 10_000), 1_000);
    assert!(
        small.contains("\"max_tokens\":1000") && small.contains("{\"type\":\"disabled\"}"),
        "{small}"
    );
    // A ledger cannot raise what was asked, and one call has a limit of its own.
    assert!(sent(&ask(2_000, 1_024), 9_000).contains("\"max_tokens\":2000"));
    assert_eq!(prepare(&ask(128_000, 1_024)).unwrap().call.max_output_tokens, 32_000);
}

#[test]
fn the_clamp_reserves_exactly_what_remains_can_pay() {
    let body = request("", TEXT).replace("\"max_tokens\":100", "\"max_tokens\":10000");
    let call = prepare(&body).unwrap().call;
    let remaining = |cost, output| Remaining {
        cost_micro_usd: cost,
        input_tokens: 10_000,
        output_tokens: output,
    };
    let all = call.clamp(&remaining(u64::MAX, 1_000_000)).unwrap();
    assert_eq!(all.max_output_tokens, 10_000);
    // (estimate * 4 + 10000 * 20) micro-dollars and 10 percent
    let estimate = call.estimated_input_tokens;
    assert_eq!(all.cost_micro_usd, ((estimate * 4 + 200_000) * 11).div_ceil(10));
    let half = call.clamp(&remaining(all.cost_micro_usd / 2, 1_000_000)).unwrap();
    assert!(half.max_output_tokens < 5_000 && half.max_output_tokens > 4_000);
    assert!(half.cost_micro_usd <= all.cost_micro_usd / 2);
    assert!(call.worst_cost_micro_usd(half.max_output_tokens + 1) > all.cost_micro_usd / 2);
    assert_eq!(call.clamp(&remaining(u64::MAX, 500)).unwrap().max_output_tokens, 500);
    let code = |r: Remaining| call.clamp(&r).unwrap_err().code;
    assert_eq!(code(remaining(call.worst_cost_micro_usd(63), 1_000)), "deny.budget.cost");
    assert_eq!(code(remaining(0, 1_000)), "deny.budget.cost");
    assert_eq!(code(remaining(u64::MAX, 63)), "deny.budget.output_tokens");
    let no_input = Remaining { input_tokens: 0, ..remaining(u64::MAX, 1_000) };
    assert_eq!(code(no_input), "deny.budget.input_tokens");
}

#[test]
fn a_cache_mark_raises_the_worst_case_to_the_price_of_writing() {
    let cost = |ttl: &str| {
        let text = format!(r#"{{"type":"text","text":"{}"{ttl}}}"#, "a".repeat(100_000));
        prepare(&request("", &text)).unwrap().call.worst_cost_micro_usd(0)
    };
    let (plain, short) = (cost(""), cost(r#","cache_control":{"type":"ephemeral"}"#));
    let long = cost(r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#);
    assert!(plain < short && short < long, "{plain} {short} {long}");
}

#[test]
fn header_fields_are_an_allow_list_and_the_key_is_the_hosts() {
    let adapter = Adapter::new(Provider::Anthropic, false).unwrap();
    let mut client = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("anthropic-version", "2023-06-01"),
        (
            "anthropic-beta",
            "claude-code-20250219, mcp-client-2025-11-20,,effort-2025-11-24,claude-code-20250219",
        ),
        ("x-api-key", "dummy"),
        ("authorization", "Bearer dummy"),
        ("cookie", "a=b"),
        ("anthropic-organization-id", "org"),
        ("x-claude-code-session-id", "s"),
        ("x-forwarded-for", "1.2.3.4"),
        ("user-agent", "claude-cli/2"),
    ] {
        client.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let key = Secret::from_bytes(b"sk-ant-api03-host".to_vec()).unwrap();
    let with = |key: &Secret| {
        let mut fields = adapter.fields(&client, true).unwrap();
        adapter.authorize(&mut fields.headers, key, false);
        fields
    };
    let fields = with(&key);
    let names: BTreeSet<&str> = fields.headers.keys().map(HeaderName::as_str).collect();
    let expected = [
        "accept",
        "accept-encoding",
        "anthropic-beta",
        "anthropic-version",
        "content-type",
        "user-agent",
        "x-api-key",
    ];
    assert_eq!(names, expected.into_iter().collect());
    assert_eq!(fields.headers["x-api-key"], "sk-ant-api03-host");
    assert!(fields.headers["x-api-key"].is_sensitive());
    assert_eq!(fields.headers["anthropic-beta"], "claude-code-20250219,effort-2025-11-24");
    assert_eq!(fields.unlisted_betas.into_iter().collect::<Vec<_>>(), ["mcp-client-2025-11-20"]);
    assert_eq!(fields.credentials.len(), 4);
    let oauth = Secret::from_bytes(b"sk-ant-oat01-host".to_vec()).unwrap();
    let fields = with(&oauth);
    assert_eq!(fields.headers["authorization"], "Bearer sk-ant-oat01-host");
    assert!(!fields.headers.contains_key("x-api-key"));
    assert!(fields.headers["anthropic-beta"].to_str().unwrap().starts_with("oauth-2025-04-20,"));
}

#[test]
fn only_listed_paths_are_served_as_written() {
    let adapter = Adapter::new(Provider::Anthropic, false).unwrap();
    let served = |method: Method, uri: &str| adapter.route(&method, &uri.parse().unwrap()).is_ok();
    assert!(served(Method::POST, "/v1/messages"));
    assert!(served(Method::POST, "/v1/messages?beta=true"));
    assert!(served(Method::POST, "/v1/messages/count_tokens?beta=true"));
    for uri in [
        "//v1/messages",
        "/v1/messages/",
        "/v1/messages/../files",
        "/v1/./messages",
        "/v1/%6dessages",
        "/v1/messages/batches",
        "/v1/files",
        "/v1/messages?beta=true&x=1",
        "/v1/messages?beta=false",
        "/",
        "/v1/messages;x",
        "/V1/MESSAGES",
        "/v1/messages?beta=true%26",
        "/api/oauth/profile",
    ] {
        assert!(!served(Method::POST, uri), "{uri}");
    }
    assert!(!served(Method::GET, "/v1/messages"));
    assert!(!served(Method::DELETE, "/v1/messages"));
    assert!(!served(Method::GET, "/v1/models"));
}
