//! Answers: passed on as they come, filtered for the key, never redirected.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Entry, KEY, PATIENCE, body, gate, request, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_passes_event_by_event() {
    let (gate, _mock) = gate(r#"{"turns":[{"text":"hello","event_wait_ms":400}]}"#);
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    let start = Instant::now();
    stream.write_all(&request("/v1/messages", "", &body(",\"stream\":true"))).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let mut first = None;
    loop {
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        if length == 0 {
            break;
        }
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        if text.contains("message_start") && first.is_none() {
            first = Some(start.elapsed());
            assert!(!text.contains("message_delta"), "{text}");
        }
    }
    assert!(first.unwrap() < Duration::from_millis(1200), "{first:?}");
    assert!(start.elapsed() > Duration::from_millis(1600));
    assert!(text.contains("message_stop"), "{text}");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_never_comes_back() {
    let (gate, mock) = gate(r#"{"turns":[{"misbehave":"echo_key"}]}"#);
    for extra in ["", ",\"stream\":true"] {
        let answer = gate.post(&body(extra)).await;
        assert_eq!(status(&answer), 200);
        assert!(answer.contains("your key is [removed]") && !answer.contains(KEY), "{answer}");
    }
    assert_eq!(mock.requests()[0].key(), Some(KEY));
    assert!(!gate.book.text().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_cost_nothing() {
    let (target, other) = gate("{\"turns\":[]}");
    let location = format!("{}/v1/messages", other.origin());
    let script = format!(r#"{{"turns":[{{"status":307,"headers":[["location","{location}"]]}}]}}"#);
    let (gate, mock) = gate(&script);
    let answer = gate.post(&body("")).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(!answer.contains("location:") && answer.contains("redirect"), "{answer}");
    assert_eq!(mock.requests().len(), 1);
    assert!(other.requests().is_empty());
    let settled = gate.book.wait(|e| matches!(e, Entry::Settled(_))).await;
    assert!(matches!(settled, Entry::Settled(usage) if usage.cost_micro_usd == 0));
    // The control: the place it pointed to would have answered.
    assert_eq!(status(&target.post(&body("")).await), 200);
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_header_fields_come_back() {
    let (gate, _mock) = gate(
        r#"{"turns":[{"text":"x","headers":[["set-cookie","a=b"],["anthropic-organization-id","org"],["anthropic-ratelimit-requests-remaining","9"],["x-internal","1"]]}]}"#,
    );
    let answer = gate.post(&body("")).await;
    for absent in ["set-cookie", "organization", "x-internal"] {
        assert!(!answer.contains(absent), "{answer}");
    }
    assert!(answer.contains("anthropic-ratelimit-requests-remaining: 9"), "{answer}");
    assert!(answer.contains("request-id: req_mock"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_nobody_asked_for_is_not_passed_on() {
    let (gate, _mock) = gate(r#"{"turns":[{"text":"x","headers":[["content-encoding","gzip"]]}]}"#);
    let answer = gate.post(&body("")).await;
    assert_eq!(status(&answer), 502, "{answer}");
    gate.book.wait(|e| *e == Entry::Whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upstream_connection_serves_calls_after_one_another() {
    let (gate, mock) = gate("{\"turns\":[]}");
    for _ in 0..5 {
        assert_eq!(status(&gate.post(&body("")).await), 200);
    }
    let connections: std::collections::BTreeSet<u64> =
        mock.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections.len(), 1);
}
