//! The agent-facing protocol: frames, messages, replies, the line reader.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking"
)]

use std::io::{self, Read};

use nucleus_wire::json::JsonErrorKind;
use nucleus_wire::limits::{FRAME_MAX_BYTES, METHOD_MAX_BYTES, REQUEST_ID_MAX_BYTES};
use nucleus_wire::mcp::{
    Envelope, EnvelopeError, ErrorCode, Frame, FrameErrorKind, FrameReader, Headers, HeadersError,
    Image, Line, Notification, Progress, ProtocolVersion, Reply, ReplyPayload, Request, RequestId,
    ServerInfo, ServerNotification, ToolResult,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn request(line: &str) -> (RequestId, Request) {
    match Frame::parse(line.as_bytes()).unwrap() {
        Frame::Request { id, method, params } => (id, Request::parse(&method, params).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn reply_of(line: &[u8]) -> Value {
    serde_json::from_slice(&Frame::parse(line).unwrap_err().reply().to_line()).unwrap()
}

#[test]
fn a_real_opening_of_a_client_is_understood() {
    // The order Claude Code 2.1 sends them in, answers as it needs them.
    let (_, probe) = request(
        r#"{"jsonrpc":"2.0","id":"server-discover-probe-1","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    assert_eq!(probe, Request::Discover);

    let (id, initialize) = request(
        r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{},"elicitation":{"form":{},"url":{}}},"clientInfo":{"name":"claude-code","version":"2.1.329"}},"jsonrpc":"2.0","id":0}"#,
    );
    let Request::Initialize(initialize) = initialize else { panic!() };
    assert_eq!(initialize.client.name, "claude-code");
    let version = ProtocolVersion::negotiate(&initialize.protocol_version);
    let server = ServerInfo {
        name: "nucleus",
        title: Some("Nucleus"),
        version: "0.1.0",
        instructions: Some("Paths are relative to the workspace."),
    };
    let reply: Value =
        serde_json::from_slice(&Reply::initialized(id, version, &server).to_line()).unwrap();
    assert_eq!(
        reply,
        json!({"jsonrpc":"2.0","id":0,"result":{
            "protocolVersion":"2025-11-25",
            "capabilities":{"tools":{"listChanged":false}},
            "serverInfo":{"name":"nucleus","title":"Nucleus","version":"0.1.0"},
            "instructions":"Paths are relative to the workspace."}})
    );

    let ready = Frame::parse(br#"{"method":"notifications/initialized","jsonrpc":"2.0"}"#).unwrap();
    let Frame::Notification { method, params } = ready else { panic!() };
    assert_eq!(Notification::parse(&method, &params).unwrap(), Notification::Initialized);

    assert_eq!(request(r#"{"method":"tools/list","jsonrpc":"2.0","id":1}"#).1, Request::ListTools);
    assert_eq!(request(r#"{"method":"ping","jsonrpc":"2.0","id":2}"#).1, Request::Ping);

    let (id, call) = request(
        r#"{"method":"tools/call","params":{"name":"read","arguments":{"path":"a.rs"},"_meta":{"claudecode/toolUseId":"toolu_01","progressToken":7}},"jsonrpc":"2.0","id":3}"#,
    );
    let Request::CallTool(call) = call else { panic!() };
    assert_eq!((id, call.name.as_str()), (RequestId::Integer(3), "read"));
    assert_eq!(call.arguments, json!({"path":"a.rs"}));
    assert_eq!(call.tool_use_id.as_deref(), Some("toolu_01"));
    let progress = Progress { progress: 5, total: Some(9), message: Some("building") };
    let notification = ServerNotification::progress(&call.progress_token.unwrap(), &progress);
    let sent: Value = serde_json::from_slice(&notification.to_line()).unwrap();
    assert_eq!(
        sent,
        json!({"jsonrpc":"2.0","method":"notifications/progress",
               "params":{"progressToken":7,"progress":5,"total":9,"message":"building"}})
    );
}

const SERVER: ServerInfo<'static> =
    ServerInfo { name: "nucleus", title: None, version: "0.1.0", instructions: Some("How to.") };

fn envelope(meta: Value) -> Result<Option<Envelope>, EnvelopeError> {
    let Value::Object(params) = json!({ "_meta": meta }) else { panic!() };
    Envelope::of(&params)
}

#[test]
fn a_request_that_carries_its_own_metadata_is_known_by_it() {
    let whole = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    });
    let read = envelope(whole).unwrap().unwrap();
    assert_eq!((read.version, read.client.name.as_str()), (ProtocolVersion::V2026_07_28, "c"));
    assert_eq!(Envelope::of(&serde_json::Map::new()), Ok(None));
    assert_eq!(envelope(json!({"progressToken": 1})), Ok(None));
    for (incomplete, names) in [
        (json!({"io.modelcontextprotocol/clientCapabilities": {}}), "protocolVersion"),
        (json!({"io.modelcontextprotocol/clientInfo": {}}), "protocolVersion"),
        (json!({"io.modelcontextprotocol/protocolVersion": 3}), "protocolVersion"),
        (json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"}), "clientCapabilities"),
        (
            json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                   "io.modelcontextprotocol/clientCapabilities": []}),
            "clientCapabilities",
        ),
        (json!(7), "_meta"),
    ] {
        let error = envelope(incomplete).unwrap_err();
        let reply = error.reply(RequestId::Integer(1), &ProtocolVersion::ALL);
        assert_eq!(reply.as_value()["error"]["code"], -32602, "{reply:?}");
        assert!(error.to_string().contains(names), "{error}");
    }
    for other in ["2025-11-25", "2027-01-01", ""] {
        let error =
            envelope(json!({"io.modelcontextprotocol/protocolVersion": other})).unwrap_err();
        let reply = error.reply(RequestId::Text("q".into()), &ProtocolVersion::ALL);
        assert_eq!(
            reply.as_value()["error"],
            json!({"code": -32022, "message": "unsupported protocol version",
                   "data": {"supported": ["2026-07-28", "2025-11-25", "2025-06-18"], "requested": other}})
        );
    }
}

#[test]
fn results_of_the_stateless_revision_have_its_shape() {
    let info =
        json!({"io.modelcontextprotocol/serverInfo": {"name": "nucleus", "version": "0.1.0"}});
    let one = || RequestId::Integer(1);
    let reply =
        Reply::discovered(one(), &SERVER, &ProtocolVersion::ALL).stateless(&SERVER).cacheable(5);
    assert_eq!(
        reply.as_value()["result"],
        json!({"resultType": "complete", "supportedVersions": ["2026-07-28", "2025-11-25", "2025-06-18"],
               "capabilities": {"tools": {"listChanged": false}}, "instructions": "How to.",
               "ttlMs": 5, "cacheScope": "private", "_meta": info})
    );
    let mut meta = serde_json::Map::new();
    meta.insert("nucleus/result".into(), json!({"exit": 0}));
    let reply = Reply::tool(one(), ToolResult::text("ok").with_meta(meta)).stateless(&SERVER);
    assert_eq!(reply.as_value()["result"]["resultType"], "complete");
    assert_eq!(reply.as_value()["result"]["_meta"]["nucleus/result"]["exit"], 0);
    assert_eq!(
        reply.as_value()["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "nucleus"
    );
    let reply = Reply::input_required(one(), "s").stateless(&SERVER);
    assert_eq!(
        reply.as_value()["result"],
        json!({"resultType": "input_required", "requestState": "s", "_meta": info})
    );
    let error = Reply::method_not_found(one());
    assert_eq!(error.clone().stateless(&SERVER).cacheable(1), error);
    assert!(error.is_error() && !reply.is_error());
    let line = ServerNotification::acknowledged(&one()).to_line();
    assert_eq!(
        serde_json::from_slice::<Value>(&line).unwrap(),
        json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
               "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": 1}, "notifications": {}}})
    );
}

#[test]
fn headers_say_what_the_body_says_or_are_refused() {
    let params = |name: &str| {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let Value::Object(params) = json!({"name": name, "_meta": meta}) else { panic!() };
        params
    };
    let call = |version, method, name| Headers { version, method, name };
    let (v, m) = (Some("2026-07-28"), Some("tools/call"));
    for (headers, name, error) in [
        (call(v, m, Some("read")), "read", None),
        (call(v, m, Some("=?base64?cmVhZA==?=")), "read", None),
        (call(v, m, Some("=?base64?SGVsbG8sIOS4lueVjA==?=")), "Hello, 世界", None),
        (call(v, m, Some("read")), "run", Some(HeadersError::Mismatch("Mcp-Name"))),
        (call(v, m, Some("READ")), "read", Some(HeadersError::Mismatch("Mcp-Name"))),
        (call(v, m, Some("=?base64?%%?=")), "read", Some(HeadersError::Mismatch("Mcp-Name"))),
        (call(v, m, Some("=?base64?/w==?=")), "read", Some(HeadersError::Mismatch("Mcp-Name"))),
        (call(v, m, None), "read", Some(HeadersError::Missing("Mcp-Name"))),
        (call(v, None, Some("read")), "read", Some(HeadersError::Missing("Mcp-Method"))),
        (call(v, Some("ping"), Some("read")), "read", Some(HeadersError::Mismatch("Mcp-Method"))),
        (call(None, m, Some("read")), "read", Some(HeadersError::Missing("MCP-Protocol-Version"))),
        (
            call(Some("2025-11-25"), m, Some("read")),
            "read",
            Some(HeadersError::Mismatch("MCP-Protocol-Version")),
        ),
    ] {
        assert_eq!(headers.check("tools/call", &params(name)).err(), error, "{headers:?} {name}");
    }
    let listing = Headers { version: v, method: Some("tools/list"), name: None };
    assert_eq!(listing.check("tools/list", &params("")), Ok(()));
    let reply = HeadersError::Missing("Mcp-Name").reply(RequestId::Integer(1));
    assert_eq!(reply.as_value()["error"]["code"], -32020);
}

#[test]
fn pictures_are_sent_as_base64() {
    let image = Image { bytes: vec![0xfb, 0xff, 0], mime_type: "image/png" };
    let reply = Reply::tool(RequestId::Integer(1), ToolResult::text("[PNG]").with_image(image));
    assert_eq!(
        reply.as_value()["result"]["content"],
        json!([{"type": "text", "text": "[PNG]"},
               {"type": "image", "data": "+/8A", "mimeType": "image/png"}])
    );
}

#[test]
fn versions_are_negotiated() {
    for (asked, given) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        assert_eq!(ProtocolVersion::negotiate(asked).as_str(), given, "{asked}");
    }
}

#[test]
fn bad_envelopes_are_refused_with_their_id_where_readable() {
    let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "i".repeat(257));
    let long_method = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "m".repeat(257));
    let one = Some(RequestId::Integer(1));
    let cases: Vec<(&str, FrameErrorKind, Option<RequestId>)> = vec![
        ("[]", FrameErrorKind::Batch, None),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, FrameErrorKind::Batch, None),
        ("null", FrameErrorKind::NotAnObject, None),
        ("\"ping\"", FrameErrorKind::NotAnObject, None),
        ("{}", FrameErrorKind::Version, None),
        (r#"{"id":1,"method":"ping"}"#, FrameErrorKind::Version, one.clone()),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, FrameErrorKind::Version, one.clone()),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, FrameErrorKind::Version, one.clone()),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, FrameErrorKind::Id, None),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, FrameErrorKind::Id, None),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, FrameErrorKind::Id, None),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, FrameErrorKind::Id, None),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, FrameErrorKind::Id, None),
        (r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#, FrameErrorKind::Id, None),
        (&long_id, FrameErrorKind::Id, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, FrameErrorKind::Method, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, FrameErrorKind::Method, one.clone()),
        (&long_method, FrameErrorKind::Method, one.clone()),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#,
            FrameErrorKind::Params,
            one.clone(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#,
            FrameErrorKind::Params,
            one.clone(),
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, FrameErrorKind::Shape, one.clone()),
        (r#"{"jsonrpc":"2.0","result":{}}"#, FrameErrorKind::Shape, None),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, FrameErrorKind::Shape, one.clone()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#, FrameErrorKind::Shape, one),
    ];
    for (line, kind, id) in cases {
        let error = Frame::parse(line.as_bytes()).unwrap_err();
        assert_eq!((error.kind(), error.id()), (kind, id.as_ref()), "{line}");
        let reply = reply_of(line.as_bytes());
        assert_eq!(reply["error"]["code"], -32600, "{line}");
    }
    // Exactly at the limits.
    let id = "i".repeat(REQUEST_ID_MAX_BYTES);
    let method = "m".repeat(METHOD_MAX_BYTES);
    let line = format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}"}}"#);
    assert!(Frame::parse(line.as_bytes()).is_ok());
}

#[test]
fn bad_json_is_a_parse_error_without_id() {
    for line in [
        &b"{"[..],
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xff\"}",
        b"hello",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}{}",
    ] {
        let reply = reply_of(line);
        assert_eq!(reply["error"]["code"], -32700);
        assert_eq!(reply["id"], Value::Null);
    }
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}"#, "{\"a\":".repeat(99));
    assert_eq!(reply_of(deep.as_bytes())["error"]["code"], -32600);
    let large = vec![b' '; FRAME_MAX_BYTES + 1];
    let FrameErrorKind::Json(error) = Frame::parse(&large).unwrap_err().kind() else { panic!() };
    assert_eq!(error.kind(), JsonErrorKind::TooLarge);
}

#[test]
fn responses_are_recognised() {
    let frame = Frame::parse(br#"{"jsonrpc":"2.0","id":"q","result":{"ok":true}}"#).unwrap();
    let payload = ReplyPayload::Result(json!({"ok":true}));
    assert_eq!(frame, Frame::Response { id: RequestId::Text("q".into()), payload });
    let frame = Frame::parse(br#"{"jsonrpc":"2.0","id":4,"error":{"code":-1}}"#).unwrap();
    let payload = ReplyPayload::Error(json!({"code":-1}));
    assert_eq!(frame, Frame::Response { id: RequestId::Integer(4), payload });
}

#[test]
fn bad_parameters_are_named() {
    let parse = |method: &str, params: Value| {
        let Value::Object(params) = params else { panic!() };
        Request::parse(method, params).unwrap_err()
    };
    let cases = [
        ("initialize", json!({}), r#""protocolVersion" must be text"#),
        ("initialize", json!({"protocolVersion": 3}), r#""protocolVersion" must be text"#),
        ("tools/list", json!({"cursor": "2"}), "unknown cursor: the list has one page"),
        ("tools/call", json!({}), r#""name" must be the name of a tool"#),
        ("tools/call", json!({"name": ["read"]}), r#""name" must be the name of a tool"#),
        (
            "tools/call",
            json!({"name": "read", "arguments": []}),
            r#""arguments" must be an object"#,
        ),
        (
            "tools/call",
            json!({"name": "read", "arguments": "{}"}),
            r#""arguments" must be an object"#,
        ),
        ("tools/call", json!({"name": "read", "_meta": 1}), r#""_meta" must be an object"#),
        ("subscriptions/listen", json!({}), r#""notifications" must be an object"#),
        (
            "tools/call",
            json!({"name": "read", "requestState": 7}),
            r#""requestState" must be text as this server gave it"#,
        ),
        (
            "tools/call",
            json!({"name": "read", "_meta": {"progressToken": 1.5}}),
            r#""_meta.progressToken" must be text or an integer"#,
        ),
    ];
    for (method, params, message) in cases {
        let error = parse(method, params);
        assert_eq!(error.to_string(), message);
        let reply = error.reply(RequestId::Integer(1));
        assert_eq!(reply.as_value()["error"]["code"], ErrorCode::InvalidParams.number());
    }
}

#[test]
fn cancellations_carry_a_sound_id() {
    let parse = |params: Value| {
        let Value::Object(params) = params else { panic!() };
        Notification::parse("notifications/cancelled", &params)
    };
    let reason = Some("user pressed escape".to_owned());
    assert_eq!(
        parse(json!({"requestId": 3, "reason": "user pressed escape"})).unwrap(),
        Notification::Cancelled { request_id: RequestId::Integer(3), reason }
    );
    let Notification::Cancelled { reason, .. } =
        parse(json!({"requestId": "a", "reason": "é".repeat(4000)})).unwrap()
    else {
        panic!()
    };
    assert_eq!(reason.unwrap().len(), 512);
    for bad in [json!({}), json!({"requestId": null}), json!({"requestId": 1.5})] {
        assert!(parse(bad).is_err());
    }
    let params = serde_json::Map::new();
    assert_eq!(
        Notification::parse("notifications/roots/list_changed", &params).unwrap(),
        Notification::Unknown { method: "notifications/roots/list_changed".into() }
    );
}

#[test]
fn tool_results_have_the_protocols_shape() {
    let mut structured = serde_json::Map::new();
    structured.insert("exit".into(), json!(1));
    let result = ToolResult::error("no\nnewline escapes the line").with_text("second");
    assert!(result.is_error());
    let line = Reply::tool(RequestId::Integer(1), result.with_structured(structured)).to_line();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        value["result"],
        json!({"content":[{"type":"text","text":"no\nnewline escapes the line"},
                          {"type":"text","text":"second"}],
               "isError":true,"structuredContent":{"exit":1}})
    );
    let plain = Reply::tool(RequestId::Integer(1), ToolResult::text("ok"));
    assert_eq!(
        plain.as_value()["result"],
        json!({"content":[{"type":"text","text":"ok"}],"isError":false})
    );
    assert_eq!(
        Reply::tools(RequestId::Integer(1), vec![]).as_value()["result"],
        json!({"tools":[]})
    );
    assert_eq!(Reply::pong(RequestId::Integer(1)).as_value()["result"], json!({}));
}

/// Gives its bytes in pieces of the given size, with an interruption before each.
struct Drip<'a> {
    bytes: &'a [u8],
    piece: usize,
    interrupted: bool,
}

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = self.piece.min(out.len()).min(self.bytes.len());
        out[..size].copy_from_slice(&self.bytes[..size]);
        self.bytes = &self.bytes[size..];
        Ok(size)
    }
}

fn lines(bytes: &[u8], limit: usize, piece: usize) -> Vec<Line> {
    let mut reader = FrameReader::with_limit(Drip { bytes, piece, interrupted: false }, limit);
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        lines.push(line);
    }
    lines
}

#[test]
fn lines_are_cut_and_oversize_ones_survived() {
    let frame = |text: &str| Line::Frame(text.as_bytes().to_vec());
    let oversize = Line::Oversize { limit: 8 };
    for piece in [1, 3, 8, 9, 4096] {
        assert_eq!(lines(b"", 8, piece), []);
        assert_eq!(lines(b"\n \r\n\n", 8, piece), []);
        assert_eq!(lines(b"a\r\nb\n", 8, piece), [frame("a\r"), frame("b")]);
        assert_eq!(lines(b"12345678\n", 8, piece), [frame("12345678")]);
        assert_eq!(lines(b"123456789\nx\n", 8, piece), [oversize.clone(), frame("x")]);
        assert_eq!(
            lines(b"1234567890123456789012\n1234567890\nx\n", 8, piece),
            [oversize.clone(), oversize.clone(), frame("x")]
        );
        assert_eq!(lines(b"a\nbc", 8, piece), [frame("a"), Line::Torn { bytes: 2 }]);
        assert_eq!(lines(b"1234567890", 8, piece), std::slice::from_ref(&oversize));
    }
}

#[test]
fn an_endless_line_costs_no_memory_and_is_reported_early() {
    let mut reader = FrameReader::with_limit(io::repeat(b'x').take(1 << 26), 1024);
    assert_eq!(reader.next_line().unwrap(), Some(Line::Oversize { limit: 1024 }));
    assert_eq!(reader.next_line().unwrap(), None);
}

#[test]
fn a_timeout_loses_nothing() {
    struct Stutter(Vec<io::Result<Vec<u8>>>);
    impl Read for Stutter {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some(next) = self.0.pop() else { return Ok(0) };
            let bytes = next?;
            out[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }
    let script =
        vec![Ok(b"cd\n".to_vec()), Err(io::ErrorKind::WouldBlock.into()), Ok(b"ab".to_vec())];
    let mut reader = FrameReader::new(Stutter(script));
    assert_eq!(reader.next_line().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(reader.next_line().unwrap(), Some(Line::Frame(b"abcd".to_vec())));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Frame::Request { method, params, .. }) = Frame::parse(&bytes) {
            let _ = Request::parse(&method, params);
        }
    }

    #[test]
    fn no_members_panic(text in r#"\{"jsonrpc":"2\.0",("id":(1|"a"|null|1\.5),)?"method":"(tools/call|initialize|tools/list|notifications/cancelled)"(,"params":\{("(name|arguments|_meta|requestId|cursor)":(1|"x"|\{\}|null|\[\]))?\})?\}"#) {
        match Frame::parse(text.as_bytes()) {
            Ok(Frame::Request { method, params, .. }) => { let _ = Request::parse(&method, params); }
            Ok(Frame::Notification { method, params }) => { let _ = Notification::parse(&method, &params); }
            _ => {}
        }
    }

    #[test]
    fn ids_are_echoed_exactly(id in any::<i64>()) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let Frame::Request { id: parsed, .. } = Frame::parse(line.as_bytes()).unwrap() else { panic!() };
        prop_assert_eq!(Reply::pong(parsed).as_value()["id"].as_i64(), Some(id));
    }

    /// However the stream is cut into pieces, the same lines come out.
    #[test]
    fn pieces_do_not_matter(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300), piece in 1usize..50) {
        prop_assert_eq!(lines(&bytes, 16, piece), lines(&bytes, 16, 4096));
    }
}
