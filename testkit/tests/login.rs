//! A subscription from end to end: taken over with consent, used by a task's gate, renewed on the host, never in a pod.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use testkit::anthropic::{Mock, Options};
use testkit::host::{Account, Host, programs};
use testkit::script::{Action, Ending, Script, Step};

const OLD: &str = "sk-ant-oat01-old-canary";
const NEW: &str = "sk-ant-oat01-new-canary";

/// A stand-in for the address of new tokens; it answers once for every connection.
#[expect(clippy::unwrap_used, reason = "a test whose stand-in fails can say nothing")]
fn token_server() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/oauth/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut text = Vec::new();
            let mut byte = [0];
            while !text.ends_with(b"}") && stream.read(&mut byte).unwrap() == 1 {
                text.extend(byte);
            }
            let body =
                json!({"access_token": NEW, "refresh_token": "refresh-2", "expires_in": 3600});
            let body = body.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_login_is_taken_over_renewed_and_never_reaches_a_pod() {
    for account in Account::all() {
        let host = Host::new(&programs(), account);
        let mock =
            Mock::start(Options { key: Some(NEW.to_owned()), ..Options::default() }).unwrap();
        let url = token_server();
        // Its end is long past: the first call has to renew it.
        let own = json!({"claudeAiOauth": {"accessToken": OLD, "refreshToken": "refresh-1", "expiresAt": 1_000}});
        host.put(&host.home(), ".claude/.credentials.json", own.to_string().as_bytes());
        let answer = host.nucleus(&["login", "--status"]).expect_code(0);
        assert!(answer.says("claude   not logged in"), "{answer}");
        // Nobody is there to agree.
        let answer = host.nucleus(&["login", "claude", "--token-url", &url]).expect_code(64);
        assert!(answer.says("--yes"), "{answer}");
        host.nucleus(&["login", "claude", "--token-url", &url, "--yes"]).expect_code(0);
        let kept = host.state().join("logins/claude.json");
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        let model = json!({"model": "claude-opus-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
        let look = "env; cat /proc/self/environ /proc/1/environ; find / -xdev -name 'claude.json' -path '*logins*' 2>&1; true";
        let steps = vec![
            Step {
                action: Some(Action::Model(model)),
                expect: Some(Ending::Ok),
                contains: Some("done".to_owned()),
                ..Step::default()
            },
            Step {
                action: Some(Action::Shell(look.to_owned())),
                lacks: Some("canary".to_owned()),
                ..Step::default()
            },
            Step {
                action: Some(Action::Shell(look.to_owned())),
                lacks: Some("logins/claude.json".to_owned()),
                ..Step::default()
            },
        ];
        let options = ["--model-upstream", &mock.origin()];
        let outcome = host.script_with(&Script { steps }, &options).expect_code(0);
        assert!(outcome.says("(list-price estimate)"), "{outcome}");
        assert!(!outcome.to_string().contains("canary"), "{outcome}");
        let sent = mock.requests();
        assert_eq!(sent[0].headers["authorization"], format!("Bearer {NEW}"));
        let text = std::fs::read_to_string(&kept).unwrap();
        assert!(text.contains(NEW) && text.contains("refresh-2") && !text.contains(OLD), "{text}");
        for log in host.logs() {
            assert!(!std::fs::read_to_string(log).unwrap().contains("canary"));
        }
        // The control: without the login the same task has no key, and the provider takes nobody else's.
        host.nucleus(&["logout", "claude"]).expect_code(0);
        assert!(!kept.exists());
        let model = json!({"model": "claude-opus-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
        let steps = vec![Step {
            action: Some(Action::Model(model)),
            lacks: Some("done".to_owned()),
            ..Step::default()
        }];
        host.reset();
        host.script_with(&Script { steps }, &options).expect_code(0);
        assert_eq!(mock.requests().len(), 2);
    }
}

#[test]
fn a_file_that_is_no_login_is_refused_and_the_next_step_is_told() {
    let host = Host::new(&programs(), Account::all()[0]);
    let answer = host.nucleus(&["login", "codex", "--yes"]).expect_code(64);
    assert!(answer.says("log in with codex itself first"), "{answer}");
    host.put(&host.home(), ".codex/auth.json", br#"{"OPENAI_API_KEY":"sk-x"}"#);
    let answer = host.nucleus(&["login", "codex", "--yes"]).expect_code(64);
    assert!(answer.says("no subscription login") && !answer.says("sk-x"), "{answer}");
    let tokens = br#"{"tokens":{"access_token":"a","refresh_token":"r","account_id":"acc"}}"#;
    host.put(&host.home(), ".codex/auth.json", tokens);
    host.nucleus(&["login", "codex", "--yes"]).expect_code(0);
    let answer = host.nucleus(&["login", "--status", "--json"]).expect_code(0);
    assert!(answer.says("\"status\": \"logged in\""), "{answer}");
    host.nucleus(&["logout"]).expect_code(0);
}
