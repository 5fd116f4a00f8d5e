//! What the gate does not do, whoever asks.

use serde_json::json;
use testkit::host::Host;
use testkit::registry::{Answer, Registry};
use testkit::script::{Action, Ending, Script, Step};

use crate::{GATE, allow, fetches, hosts, log, run, sample};

/// Sends each raw request of a list over a connection of its own and prints the status of its answer.
const ASK: &str = r#"
import json, socket, sys
for request in json.loads(sys.stdin.read()):
    s = socket.create_connection(("127.0.0.1", 61080), 30)
    s.settimeout(60)
    s.sendall(request.encode("latin-1"))
    answer = b""
    while b"\r\n" not in answer:
        part = s.recv(4096)
        if not part: break
        answer += part
    words = answer.split(b" ")
    print(words[1].decode() if len(words) > 1 else "closed")
    s.close()
"#;

/// Sends requests from a pod; gives the statuses.
pub(crate) fn ask(host: &Host, requests: &[String]) -> Vec<String> {
    host.file("ask.py", ASK);
    host.file("requests.json", serde_json::to_vec(requests).unwrap());
    let outcome = run(host, &["sh", "-c", "python3 ask.py < requests.json"]).expect_code(0);
    let word = |line: &&str| {
        line.len() == 3 && line.bytes().all(|b| b.is_ascii_digit()) || *line == "closed"
    };
    outcome.stdout.lines().filter(word).map(str::to_owned).collect()
}

pub(crate) fn get(path: &str) -> String {
    request("GET", path, "", "")
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {GATE}\r\n{headers}\r\n{body}")
}

#[test]
fn only_lists_and_listed_files_are_fetched() {
    for (host, registry) in hosts() {
        sample::tiny_crate(&host, &registry);
        sample::tiny_module(&host, &registry);
        allow(&host, &registry, "\"cargo\", \"npm\"", "");
        let body = "Content-Length: 6\r\n";
        let refused = [
            request("PUT", "/cargo/api/v1/crates/new", body, "secret"),
            request("PUT", "/npm/@tiny%2fanswer", body, "secret"),
            request("POST", "/npm/-/v1/login", body, "secret"),
            request("DELETE", "/npm/tiny", "", ""),
            request("GET", "/npm/tiny", body, "secret"),
            request(
                "GET",
                "/npm/tiny",
                "Transfer-Encoding: chunked\r\n",
                "6\r\nsecret\r\n0\r\n\r\n",
            ),
            request("CONNECT", "evil.example:443", "", ""),
            get("http://evil.example/"),
            get("/npm/-/v1/search?text=secret"),
            get("/npm/tiny?secret"),
            get("/npm/tiny%20secret"),
            get("/npm/../index/config.json"),
            get("/npm/tiny/secret"),
            get(&format!("/npm/{}", "s".repeat(101))),
            get("/cargo/me"),
            get("/cargo/ti/ny/other"),
            get("/pip/simple/tiny-answer/"),
            get("/go/github.com/x/y/@v/list"),
            get("/go/sumdb/sum.golang.org/supported"),
            get("/"),
        ];
        let statuses = ask(&host, &refused);
        assert_eq!(statuses.len(), refused.len(), "{statuses:?}");
        for (status, request) in statuses.iter().zip(&refused) {
            let plain = ["400", "403", "404", "405", "closed"].contains(&status.as_str());
            assert!(plain, "{status} for {request:?}");
        }
        assert!(registry.asked().is_empty(), "nothing of it left: {:?}", registry.lines());
        assert!(log(&host).contains("\"type\":\"gate_refusal\""));
        // Control: what is served arrives, without what the client said beside it. Versions and files that no list
        // names are not asked for.
        let said = "Authorization: Bearer secret\r\nCookie: secret\r\nIf-None-Match: \"secret\"\r\nX-Secret: secret\r\n";
        let statuses = ask(
            &host,
            &[
                request("GET", "/cargo/ti/ny/tiny", said, ""),
                request("HEAD", "/npm/@tiny%2fanswer", said, ""),
                get("/cargo/crates/tiny/1.0.0/download"),
                get("/cargo/crates/tiny/6.6.6-secret/download"),
                get("/npm/@tiny/answer/-/secret.tgz"),
            ],
        );
        assert_eq!(statuses, ["200", "200", "200", "404", "404"]);
        assert!(!format!("{:?}", registry.asked()).contains("secret"), "{:?}", registry.asked());
        assert!(registry.lines().contains(&"GET /crates/tiny-1.0.0.crate".to_owned()));
    }
}

#[test]
fn a_hostile_registry_leads_nowhere() {
    for (host, registry) in hosts() {
        let elsewhere = Registry::start().unwrap();
        let away = elsewhere.origin();
        registry.serve("/npm/moved", Answer::redirect(&format!("{away}/npm/moved")));
        registry.serve("/npm/broken", Answer::new("application/json", "{\"versions\":"));
        let list = format!(
            "{{\"versions\":{{\"1.0.0\":{{\"dist\":{{\"tarball\":\"{away}/x-1.0.0.tgz\"}}}}}}}}"
        );
        registry.serve("/npm/astray", Answer::new("application/json", list));
        let page = format!(
            "<a href=\"{away}/a-1.whl\">a-1.whl</a><a href=\"../../files/b-1.whl\">b-1.whl</a>"
        );
        registry.serve("/simple/astray/", Answer::new("text/html", page));
        registry.serve("/files/b-1.whl", Answer::redirect(&format!("{away}/b-1.whl")));
        let settings = format!("{{\"dl\":\"{away}/crates\"}}");
        registry.serve("/index/config.json", Answer::new("application/json", settings));
        let line = "{\"name\":\"tiny\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"00\",\"features\":{},\"yanked\":false}\n";
        registry.serve("/index/ti/ny/tiny", Answer::new("text/plain", line));
        registry.serve("/npm/large", Answer::new("application/json", vec![b' '; 33 << 20]));
        allow(&host, &registry, "\"cargo\", \"npm\", \"pip\"", "");
        let statuses = ask(
            &host,
            &[
                get("/npm/moved"),
                get("/npm/broken"),
                get("/npm/large"),
                get("/npm/astray"),
                get("/npm/astray/-/x-1.0.0.tgz"),
                get("/pip/simple/astray/"),
                get("/pip/files/astray/a-1.whl"),
                get("/pip/files/astray/b-1.whl"),
                get("/cargo/ti/ny/tiny"),
                get("/cargo/crates/tiny/1.0.0/download"),
            ],
        );
        let expected = ["502", "502", "502", "200", "404", "200", "404", "502", "200", "404"];
        assert_eq!(statuses, expected);
        assert!(elsewhere.asked().is_empty(), "{:?}", elsewhere.lines());
    }
}

#[test]
fn names_that_do_not_exist_are_counted() {
    for (host, registry) in hosts() {
        allow(&host, &registry, "\"npm\"", "");
        let names: Vec<String> = (0..80).map(|i| get(&format!("/npm/secret-{i}"))).collect();
        let statuses = ask(&host, &names);
        assert_eq!(statuses.iter().filter(|status| *status == "404").count(), 64);
        assert_eq!(statuses.iter().filter(|status| *status == "403").count(), 16);
        assert_eq!(registry.asked().len(), 64);
    }
}

/// Sends each raw request of a list and hangs up before the answer.
const HANG_UP: &str = r#"
import json, socket, sys, time
for request in json.loads(sys.stdin.read()):
    s = socket.create_connection(("127.0.0.1", 61080), 30)
    s.sendall(request.encode("latin-1"))
    time.sleep(0.1)
    s.close()
"#;

#[test]
fn names_count_though_nobody_waits_for_the_answer() {
    for (host, registry) in hosts() {
        registry.delay(std::time::Duration::from_millis(400));
        allow(&host, &registry, "\"npm\"", "");
        let names: Vec<String> = (0..90).map(|i| get(&format!("/npm/secret-{i}"))).collect();
        host.file("hang_up.py", HANG_UP);
        host.file("requests.json", serde_json::to_vec(&names).unwrap());
        run(&host, &["sh", "-c", "python3 hang_up.py < requests.json"]).expect_code(0);
        let asked = registry.asked().len();
        // At least some must have left, or nothing was tried.
        assert!((8..=64).contains(&asked), "{asked} names left");
    }
}

#[test]
fn fetches_are_paid_from_the_budget() {
    for (host, registry) in hosts() {
        sample::tiny_module(&host, &registry);
        allow(&host, &registry, "\"npm\"", "[budget]\nmax_cost_usd = 0.07\n");
        // The command's own time is held too; each fetch costs 100 millionths.
        let names: Vec<String> = (0..200).map(|_| get("/npm/@tiny%2fanswer")).collect();
        let statuses = ask(&host, &names);
        let served = statuses.iter().filter(|status| *status == "200").count();
        assert!((1..200).contains(&served), "{served} of {}", statuses.len());
        assert_eq!(registry.asked().len(), served, "what is denied does not leave");
        let log = log(&host);
        assert_eq!(fetches(&log, "outcome").len(), served);
        assert!(log.contains("deny.budget.cost"));
    }
}

#[test]
fn without_packages_there_is_no_gate() {
    let look =
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 61080), 5)' 2>&1";
    for (host, registry) in hosts() {
        allow(&host, &registry, "\"npm\"", "");
        run(&host, &["sh", "-c", look]).expect_code(0);
        allow(&host, &registry, "", "");
        let none = run(&host, &["sh", "-c", look]).expect_code(1);
        assert!(none.says("refused"), "{none}");
        // A repository can take it away, and cannot ask for it.
        allow(&host, &registry, "\"npm\"", "");
        host.file(".nucleus/permissions.toml", "[network]\npackages = []\n");
        run(&host, &["sh", "-c", look]).expect_code(1);
        allow(&host, &registry, "", "");
        host.file(".nucleus/permissions.toml", "[network]\npackages = [\"npm\"]\n");
        run(&host, &["sh", "-c", look]).expect_code(1);
        assert!(registry.asked().is_empty());
    }
}

#[test]
fn an_agents_own_pod_has_none() {
    for (host, registry) in hosts() {
        allow(&host, &registry, "\"npm\"", "");
        let look =
            "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 61080), 5)'";
        let step =
            |action, expect| Step { action: Some(action), expect: Some(expect), ..Step::default() };
        let tool = Action::Tool { name: "run".to_owned(), args: json!({"command": look}) };
        let steps = vec![
            Step { contains: Some("exit 0".to_owned()), ..step(tool, Ending::Ok) },
            step(Action::Connect(GATE.to_owned()), Ending::Refused),
        ];
        let policy = host.place().join("policy.toml").display().to_string();
        host.script_with(&Script { steps }, &["--config", &policy]).expect_code(0);
    }
}
