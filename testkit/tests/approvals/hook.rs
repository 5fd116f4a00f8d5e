//! A webhook of the user's: told of every request, and answered only by what is signed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use testkit::host::Host;

use crate::desk::{approvals, hosts, id, intents, park, question, run};

const KEY: &str = "a key of at least thirty-two bytes, for a test";
/// No delivery of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What arrived: the two headers and the body.
struct Delivery {
    timestamp: String,
    signature: String,
    body: String,
}

fn sign(message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    hmac::sign(&key, message.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// A server that answers posts with these statuses one after the other, and all others with the last.
fn receiver(statuses: &'static [u16]) -> (u16, Receiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, deliveries) = channel();
    let mut answered = 0;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut head, mut line) = (Vec::new(), String::new());
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                head.push(line.trim().to_owned());
                line.clear();
            }
            let field = |name: &str| {
                let found = head.iter().find_map(|l| l.strip_prefix(&format!("{name}: ")));
                found.unwrap_or_default().to_owned()
            };
            let mut body = vec![0; field("content-length").parse().unwrap_or(0)];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            let status = statuses.get(answered).or(statuses.last()).unwrap();
            answered += 1;
            let _gone = write!(
                reader.get_mut(),
                "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let delivery = Delivery {
                timestamp: field("x-nucleus-timestamp"),
                signature: field("x-nucleus-signature"),
                body: String::from_utf8(body).unwrap(),
            };
            if sender.send(delivery).is_err() {
                return;
            }
        }
    });
    (port, deliveries)
}

fn configure(host: &Host, port: u16) {
    let config = host.home().join(".config");
    let text = format!(
        "[approvals]\nwebhook = \"http://127.0.0.1:{port}/hook/T0\"\nwebhook_key = \"webhook.key\"\n"
    );
    host.put(&config, "nucleus/config.toml", text.as_bytes());
    host.put(&config, "nucleus/webhook.key", KEY.as_bytes());
    let key = config.join("nucleus/webhook.key");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A signed answer as an honest receiver makes it from a delivery.
fn answer(delivery: &Value, decision: &str, key_fits: bool) -> String {
    let said = &delivery["nucleus"];
    let text = |name: &str| said[name].as_str().unwrap().to_owned();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let message = format!(
        "nucleus webhook answer v1\n{}\n{}\n{}\n{}\n{decision}\n{now}\n",
        text("session"),
        text("id"),
        text("digest"),
        text("nonce"),
    );
    let signature = if key_fits { sign(&message) } else { "00".repeat(32) };
    json!({
        "version": 1, "session": text("session"), "id": text("id"), "digest": text("digest"),
        "nonce": text("nonce"), "decision": decision, "timestamp": now, "signature": signature,
    })
    .to_string()
}

#[test]
fn a_request_is_posted_signed_and_a_signed_answer_decides_once() {
    for host in hosts() {
        let (port, deliveries) = receiver(&[200]);
        configure(&host, port);
        let mut task = park(&host, vec![run(&["touch", "ran.txt"])]);
        let asked = id(&question(&host, &mut task, &[]));
        let got = deliveries.recv_timeout(PATIENCE).unwrap();
        let expected = sign(&format!("nucleus webhook v1\n{}\n{}", got.timestamp, got.body));
        assert_eq!(got.signature, expected);
        let body: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(body["nucleus"]["id"], asked.as_str());
        assert!(body["text"].as_str().unwrap().contains("run_bash"), "{body}");
        assert!(body["blocks"][1]["text"]["text"].as_str().unwrap().contains("touch"), "{body}");
        let hand_over = |document: &str| {
            host.put(host.place(), "answer.json", document.as_bytes());
            approvals(&host, &["answer", host.place().join("answer.json").to_str().unwrap()])
        };
        let forged = hand_over(&answer(&body, "approve", false)).expect_code(77);
        assert!(forged.says("the signature does not fit"), "{forged}");
        let turned = answer(&body, "deny", true).replace("\"deny\"", "\"approve\"");
        hand_over(&turned).expect_code(77);
        hand_over("{}").expect_code(64);
        let yes = answer(&body, "approve", true);
        hand_over(&yes).expect_code(0);
        let again = hand_over(&yes);
        assert_ne!(again.code, Some(0), "{again}");
        let outcome = task.outcome().0.expect_code(0);
        assert_eq!(intents(&host), (1, 0), "{outcome}");
        assert!(host.read("ran.txt").is_some());
    }
}

#[test]
fn a_webhook_that_fails_is_shown_and_holds_nothing_up() {
    for host in hosts() {
        let (port, _deliveries) = receiver(&[500]);
        configure(&host, port);
        let mut task = park(&host, vec![run(&["touch", "ran.txt"])]);
        let asked = id(&question(&host, &mut task, &[]));
        assert!(task.until(|task| task.printed().contains("status 500")), "{}", task.printed());
        approvals(&host, &["approve", &asked]).expect_code(0);
        task.outcome().0.expect_code(0);
        assert!(host.read("ran.txt").is_some());
    }
}

#[test]
fn a_delivery_that_can_still_succeed_is_tried_again() {
    let host = hosts().remove(0);
    let (port, deliveries) = receiver(&[503, 200]);
    configure(&host, port);
    let mut task = park(&host, vec![run(&["touch", "ran.txt"])]);
    let asked = id(&question(&host, &mut task, &[]));
    let got: Vec<Delivery> = (0..2).map(|_| deliveries.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(got[0].body, got[1].body, "the same message");
    for try_ in &got {
        let expected = sign(&format!("nucleus webhook v1\n{}\n{}", try_.timestamp, try_.body));
        assert_eq!(try_.signature, expected, "each try proves its own time");
    }
    approvals(&host, &["deny", &asked]).expect_code(0);
    let outcome = task.outcome().0;
    assert!(!outcome.says("was not delivered"), "{outcome}");
}

#[test]
fn a_webhook_that_cannot_work_is_told_before_anything_begins() {
    for host in hosts() {
        let args = ["run", "--allow-local-driver", "--approvals", "socket", "--", "true"];
        let config = host.home().join(".config/nucleus/config.toml");
        let key = host.home().join(".config/nucleus/webhook.key");
        let refused = |words: &str| {
            let outcome = host.nucleus(&args).expect_code(65);
            assert!(outcome.says(words), "{words:?}: {outcome}");
            assert!(host.sessions().is_empty(), "a session is left: {outcome}");
            let check = host.nucleus(&["config", "check"]).expect_code(65);
            assert!(check.says(words), "the same before a run: {check}");
        };
        configure(&host, 9);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        refused("can be read by others");
        std::fs::write(&key, "short").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        refused("at least 32 bytes");
        std::fs::remove_file(&key).unwrap();
        refused("webhook.key");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("webhook_key", "# webhook_key")).unwrap();
        refused("has no webhook_key");
        for url in ["ftp://x/y", "http://example.com/hook", "https://example.com/hook?token=1"] {
            std::fs::write(&config, format!("[approvals]\nwebhook = \"{url}\"\n")).unwrap();
            refused("config.toml:2:11");
        }
    }
}
