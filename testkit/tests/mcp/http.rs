//! `nucleus mcp serve --http`: who may come in, and headers that say what the body says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::host::{Host, Outcome, signal};
use testkit::mcp::{Era, McpClient};
use testkit::script::metadata;

use crate::stage::{hosts, runs, until, with};

const TOKEN: &str = "0123456789abcdef0123456789abcdef-canary";

/// A running server and its port.
struct Server {
    process: McpClient,
    port: u16,
}

fn token_file(host: &Host) -> String {
    host.put(&host.home(), "token", format!("{TOKEN}\n").as_bytes());
    let file = host.home().join("token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
}

fn serve(host: &Host) -> Server {
    let file = token_file(host);
    let options = ["--profile", "fix-issue", "--http", "127.0.0.1:0", "--token-file", &file];
    let process = McpClient::raw(&mut with(host, &options), Era::Stateless);
    until("it says where it listens", || process.stderr().contains("/mcp;"));
    let said = process.stderr();
    let (_, rest) = said.split_once("http://127.0.0.1:").unwrap();
    let port = rest.split('/').next().unwrap().parse().unwrap();
    Server { process, port }
}

/// A call and the headers a sound client sends with it; a header can be changed or left out.
struct Post {
    verb: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Post {
    fn new(port: u16, id: u64, method: &str, mut params: Value) -> Self {
        params["_meta"] = match params["_meta"].take() {
            Value::Null => metadata(),
            Value::Object(more) => {
                let mut meta = metadata();
                meta.as_object_mut().unwrap().extend(more);
                meta
            }
            other => other,
        };
        let mut headers = vec![
            ("Host", format!("127.0.0.1:{port}")),
            ("Authorization", format!("Bearer {TOKEN}")),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("MCP-Protocol-Version", "2026-07-28".to_owned()),
            ("Mcp-Method", method.to_owned()),
        ];
        if let Some(name) = params["name"].as_str() {
            headers.push(("Mcp-Name", name.to_owned()));
        }
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        Self { verb: "POST", headers, body }
    }

    fn read(port: u16) -> Self {
        Self::new(
            port,
            1,
            "tools/call",
            json!({"name": "read", "arguments": {"path": "README.md"}}),
        )
    }

    fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    fn open(&self, port: u16) -> TcpStream {
        let body = self.body.to_string();
        let mut head = format!("{} /mcp HTTP/1.1\r\nContent-Length: {}\r\n", self.verb, body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        stream
    }

    /// Status and body.
    fn send(&self, port: u16) -> (u16, String) {
        let mut answer = String::new();
        self.open(port).read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

#[test]
fn only_who_knows_the_token_and_is_no_page_of_a_browser_comes_in() {
    for host in hosts() {
        let server = serve(&host);
        let port = server.port;
        let (status, body) = Post::read(port).send(port);
        assert_eq!(status, 200, "the control: {body}");
        assert!(body.contains("# A repository"), "{body}");
        let own = format!("http://localhost:{port}");
        assert_eq!(Post::read(port).with("Origin", Some(&own)).send(port).0, 200, "its own page");
        for (name, value, status) in [
            ("Authorization", None, 401),
            ("Authorization", Some("Bearer "), 401),
            ("Authorization", Some("Bearer 0123456789abcdef0123456789abcdef-canarx"), 401),
            ("Authorization", Some("Basic 0123456789abcdef0123456789abcdef-canary"), 401),
            ("Origin", Some("https://evil.example"), 403),
            ("Origin", Some("null"), 403),
            ("Host", Some("evil.example"), 403),
            ("Host", Some("127.0.0.1.evil.example"), 403),
            ("Host", Some("127.0.0.1:1"), 403),
            ("Content-Type", Some("text/plain"), 415),
        ] {
            let (found, body) = Post::read(port).with(name, value).send(port);
            assert_eq!((found, body.as_str()), (status, ""), "{name}: {value:?}");
        }
        for verb in ["GET", "DELETE", "PUT"] {
            let post = Post { verb, ..Post::read(port) };
            assert_eq!(post.send(port).0, 405, "{verb}");
        }
        signal(server.process.pid(), rustix::process::Signal::TERM);
        let (outcome, _) = server.process.outcome();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(!std::fs::read_to_string(&host.logs()[0]).unwrap().contains(TOKEN));
        host.verify(&host.logs()[0]).expect_code(0);
    }
}

#[test]
fn headers_that_say_something_else_are_refused_and_nothing_is_done() {
    let host = hosts().remove(0);
    let server = serve(&host);
    let port = server.port;
    let write = || {
        let arguments = json!({"path": "made.txt", "content": "x"});
        Post::new(port, 1, "tools/call", json!({"name": "write", "arguments": arguments}))
    };
    let code = |body: &str| serde_json::from_str::<Value>(body).unwrap()["error"]["code"].clone();
    for (name, value) in [
        ("Mcp-Name", Some("read")),
        ("Mcp-Name", None),
        ("Mcp-Name", Some("=?base64?cmVhZA==?=")),
        ("Mcp-Method", Some("tools/list")),
        ("Mcp-Method", None),
        ("MCP-Protocol-Version", Some("2025-11-25")),
        ("MCP-Protocol-Version", None),
    ] {
        let (status, body) = write().with(name, value).send(port);
        assert_eq!((status, code(&body)), (400, json!(-32020)), "{name}: {value:?} {body}");
    }
    let mut twice = write();
    twice.headers.push(("Mcp-Name", "read".to_owned()));
    assert_eq!(code(&twice.send(port).1), -32020, "a header said twice");
    let (status, body) = Post::new(port, 1, "no/such", json!({})).send(port);
    assert_eq!((status, code(&body)), (404, json!(-32601)), "{body}");
    let (status, body) = Post::new(port, 1, "initialize", json!({})).send(port);
    assert_eq!((status, code(&body)), (400, json!(-32022)), "{body}");
    assert!(body.contains("2026-07-28") && !body.contains("2025"), "{body}");
    let (status, body) = Post::new(port, 1, "server/discover", json!({})).send(port);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"supportedVersions\":[\"2026-07-28\"]"), "{body}");
    let log = std::fs::read_to_string(&host.logs()[0]).unwrap();
    assert!(!log.contains("\"tool\":\"write\""), "nothing was even begun");
    // The control: the same call with sound headers, one of them in its other form.
    let (status, body) = write().with("Mcp-Name", Some("=?base64?d3JpdGU=?=")).send(port);
    assert_eq!(status, 200, "{body}");
    signal(server.process.pid(), rustix::process::Signal::TERM);
    server.process.outcome().0.expect_code(0);
    assert_eq!(host.read("made.txt").as_deref(), Some("x"));
}

#[test]
fn progress_comes_as_events_and_closing_the_connection_kills() {
    let host = hosts().remove(0);
    let server = serve(&host);
    let port = server.port;
    let run = |command: &str, meta: Value| {
        Post::new(
            port,
            9,
            "tools/call",
            json!({"name": "run", "arguments": {"command": command}, "_meta": meta}),
        )
    };
    let (status, body) = run("sleep 5; echo over", json!({"progressToken": "t"})).send(port);
    assert_eq!(status, 200, "{body}");
    assert!(body.matches("notifications/progress").count() >= 2, "{body}");
    let last = body.rsplit("data: ").next().unwrap();
    assert!(last.contains("over") && last.contains("\"id\":9"), "{body}");
    for (n, meta) in [json!({}), json!({"progressToken": 1})].into_iter().enumerate() {
        let mark = format!("http-{n}-{}", std::process::id());
        let open = run(&format!("sh -c 'sleep 500; : {mark}'"), meta).open(port);
        until("the command runs", || runs(&mark));
        drop(open);
        until("the command is gone", || !runs(&mark));
    }
    signal(server.process.pid(), rustix::process::Signal::TERM);
    server.process.outcome().0.expect_code(0);
}

#[test]
fn what_would_open_the_door_to_others_is_refused() {
    let host = hosts().remove(0);
    let file = token_file(&host);
    let refused = |options: &[&str], words: &str| {
        let outcome = Outcome::of(&mut with(&host, options));
        assert_eq!(outcome.code, Some(64), "{outcome}");
        assert!(outcome.says(words), "{outcome}");
    };
    refused(&["--http", "0.0.0.0:0", "--token-file", &file], "not on loopback");
    refused(&["--http", "127.0.0.1:0"], "--token-file");
    let path = std::path::Path::new(&file);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&["--http", "127.0.0.1:0", "--token-file", &file], "can be read by others");
    std::fs::write(path, "short").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    refused(&["--http", "127.0.0.1:0", "--token-file", &file], "holds no token");
    assert!(host.sessions().is_empty());
}
