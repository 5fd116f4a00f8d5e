//! A subscription in the place of a key: renewed before its end and once when it is refused, by one caller at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nucleus_gate::{GateConfig, LoginFile, Origin, PriceTable, Provider, Roots};
use testkit::mock::{Api, Mock, Options, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Book, Entry, Served, call, request, status};

const OLD: &str = "sk-ant-oat01-old-canary";
const NEW: &str = "sk-ant-oat01-new-canary";

/// A stand-in for the address of new tokens: it knows one refresh token and gives a new pair for it.
struct TokenServer {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl TokenServer {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/oauth/token", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.contains("}") {
                    let length = stream.read(&mut buffer).await.unwrap();
                    assert!(length > 0, "{text}");
                    text.push_str(std::str::from_utf8(buffer.get(..length).unwrap()).unwrap());
                }
                assert!(text.starts_with("POST /v1/oauth/token HTTP/1.1"), "{text}");
                assert!(text.contains("\"grant_type\":\"refresh_token\""), "{text}");
                // Long enough for every caller to stand in line.
                tokio::time::sleep(Duration::from_millis(300)).await;
                let (status, body) = if text.contains("\"refresh_token\":\"refresh-1\"") {
                    ("200 OK", answer)
                } else {
                    ("400 Bad Request", "{\"error\":\"invalid_grant\"}")
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const ANSWER: &str = r#"{"access_token":"sk-ant-oat01-new-canary","refresh_token":"refresh-2","expires_in":3600,"token_type":"Bearer"}"#;

struct Stage {
    gate: Served,
    mock: Mock,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

/// A gate whose login ends in `ends_in` seconds, before a provider that takes only `accepted`.
fn stage(provider: Provider, tokens: &TokenServer, ends_in: i64, accepted: &str) -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("login.json");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (subscription, account) = match provider {
        Provider::OpenAi => ("codex", "\"acc-1\""),
        _ => ("claude", "null"),
    };
    let text = format!(
        r#"{{"subscription":"{subscription}","access_token":"{OLD}","refresh_token":"refresh-1","expires_s":{},"account":{account},"token_url":"{}"}}"#,
        now.saturating_add_signed(ends_in),
        tokens.url
    );
    std::fs::write(&file, text).unwrap();
    let api = if provider == Provider::OpenAi { Api::OpenAi } else { Api::Anthropic };
    let script = Script::parse(br#"{"turns":[{"misbehave":"echo_key"}]}"#).unwrap();
    let options = Options { api, script, key: Some(accepted.to_owned()), ..Options::default() };
    let mock = Mock::start(options).unwrap();
    let origin = Origin::parse(&mock.origin()).unwrap();
    let config = GateConfig::new(origin, None, PriceTable::builtin().unwrap(), Roots::none());
    let login = LoginFile::open(&file).unwrap();
    let config = config.for_provider(provider).with_login(login, Roots::none());
    Stage { gate: Served::new(config, Book::with_cost(10_000_000)), mock, file, _dir: dir }
}

async fn ask(gate: &Served, provider: Provider) -> String {
    let (target, body) = call(provider, false);
    gate.raw(&request(target, "authorization: Bearer theirs\r\n", &body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_is_used_and_nobody_is_asked_for_another() {
    let tokens = TokenServer::start(ANSWER).await;
    let stage = stage(Provider::Anthropic, &tokens, 3600, OLD);
    let answer = ask(&stage.gate, Provider::Anthropic).await;
    assert!(status(&answer) == 200 && answer.contains("your key is [removed]"), "{answer}");
    assert_eq!(tokens.asked(), 0);
    let sent = &stage.mock.requests()[0];
    assert_eq!(sent.headers["authorization"], format!("Bearer {OLD}"));
    assert!(sent.headers["anthropic-beta"].contains("oauth-2025-04-20"));
    assert!(!sent.headers.contains_key("x-api-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_the_end_of_a_token_renew_it_once_and_the_new_one_is_kept() {
    let tokens = TokenServer::start(ANSWER).await;
    let stage = Arc::new(stage(Provider::Anthropic, &tokens, 30, NEW));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let stage = Arc::clone(&stage);
        all.spawn(async move { ask(&stage.gate, Provider::Anthropic).await });
    }
    while let Some(answer) = all.join_next().await {
        let answer = answer.unwrap();
        assert!(status(&answer) == 200 && !answer.contains("canary"), "{answer}");
    }
    assert_eq!(tokens.asked(), 1);
    let kept = std::fs::read_to_string(&stage.file).unwrap();
    assert!(kept.contains(NEW) && kept.contains("refresh-2") && !kept.contains(OLD), "{kept}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&stage.file).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let notes = stage.gate.book.text();
    assert_eq!(notes.matches("LoginRenewed").count(), 1, "{notes}");
    assert!(!notes.contains("canary") && !notes.contains("refresh-"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_and_the_call_made_once_more_and_booked_once() {
    let tokens = TokenServer::start(ANSWER).await;
    let stage = stage(Provider::Anthropic, &tokens, 3600, NEW);
    let answer = ask(&stage.gate, Provider::Anthropic).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!((tokens.asked(), stage.mock.requests().len()), (1, 2));
    stage.gate.book.wait(|e| matches!(e, Entry::Settled(u) if u.cost_micro_usd > 0)).await;
    let admitted = stage.gate.book.all().iter().filter(|e| matches!(e, Entry::Admitted(_))).count();
    assert_eq!(admitted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_renewed_is_told_and_costs_nothing() {
    for answer in ["{}", "[", r#"{"access_token":"a b"}"#] {
        let tokens = TokenServer::start(answer).await;
        let stage = stage(Provider::Anthropic, &tokens, -5, NEW);
        let answer = ask(&stage.gate, Provider::Anthropic).await;
        assert_eq!(status(&answer), 502, "{answer}");
        assert!(answer.contains("log in again") && !answer.contains("canary"), "{answer}");
        assert!(stage.mock.requests().is_empty());
        assert!(!stage.gate.book.text().contains("Admitted"));
    }
    // A token that is good for a while yet is used although its successor does not come.
    let tokens = TokenServer::start("{}").await;
    let stage = stage(Provider::Anthropic, &tokens, 200, OLD);
    assert_eq!(status(&ask(&stage.gate, Provider::Anthropic).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codex_subscription_names_its_account_and_sends_no_output_limit() {
    let tokens = TokenServer::start(ANSWER).await;
    let stage = stage(Provider::OpenAi, &tokens, 3600, OLD);
    let answer = ask(&stage.gate, Provider::OpenAi).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let sent = &stage.mock.requests()[0];
    assert_eq!(sent.headers["chatgpt-account-id"], "acc-1");
    assert!(sent.body.get("max_output_tokens").is_none(), "{}", sent.body);
    assert_eq!(sent.body["store"], false);
    let Entry::Admitted(reservation) =
        stage.gate.book.wait(|e| matches!(e, Entry::Admitted(_))).await
    else {
        panic!("not admitted")
    };
    assert_eq!(reservation.max_output_tokens, 1000);
}
