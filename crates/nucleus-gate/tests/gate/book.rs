//! Money: what is reserved, what is settled, what is booked whole.

use std::time::Duration;

use nucleus_gate::{GateConfig, Origin, PriceTable, Roots, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Book, Entry, Served, body, gate, gate_with, kept_request, key, mock, request, status,
};

async fn settled(book: &Book) -> Usage {
    match book.wait(|e| matches!(e, Entry::Settled(_) | Entry::Whole)).await {
        Entry::Settled(usage) => usage,
        other => panic!("{other:?} in {}", book.text()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_objects_are_settled_with_the_same_usage() {
    for extra in ["", ",\"stream\":true"] {
        let (gate, _mock) = gate(
            r#"{"turns":[{"text":"x","usage":{"input_tokens":10,"cache_write_5m_tokens":100,"cache_read_tokens":1000,"output_tokens":20}}]}"#,
        );
        assert_eq!(status(&gate.post(&body(extra)).await), 200);
        let usage = settled(&gate.book).await;
        assert_eq!((usage.input_tokens, usage.output_tokens), (10, 20));
        assert_eq!((usage.cache_write_5m_tokens, usage.cache_read_tokens), (100, 1000));
        // 10 * 4 + 20 * 20 + 100 * 5 + 1000 * 0.2
        assert_eq!(usage.cost_micro_usd, 1140);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_what_was_reserved() {
    let (gate, mock) = gate_with("{\"turns\":[]}", 10_000);
    assert_eq!(status(&gate.post(&body("")).await), 200);
    let Entry::Admitted(reservation) = gate.book.wait(|e| matches!(e, Entry::Admitted(_))).await
    else {
        panic!("not admitted")
    };
    let sent = mock.requests()[0].body["max_tokens"].as_u64().unwrap();
    assert_eq!(sent, reservation.max_output_tokens);
    assert!(sent < 1000 && reservation.cost_micro_usd <= 10_000, "{reservation:?}");
    let (poor, mock) = gate_with("{\"turns\":[]}", 100);
    let answer = poor.post(&body("")).await;
    assert!(status(&answer) == 400 && answer.contains("deny.budget.cost"), "{answer}");
    assert!(mock.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_believable_usage_book_the_whole_reservation() {
    for (turn, extra) in [
        (r#"{"text":"x","misbehave":"no_usage"}"#, ""),
        (r#"{"text":"x","misbehave":"no_usage"}"#, ",\"stream\":true"),
        (r#"{"text":"x","misbehave":"abort"}"#, ""),
        (r#"{"text":"x","misbehave":"abort"}"#, ",\"stream\":true"),
        (r#"{"text":"x","misbehave":"stream_error"}"#, ",\"stream\":true"),
        (r#"{"text":"x","usage":{"input_tokens":0,"output_tokens":9}}"#, ""),
        (r#"{"text":"xxxxxxxxxxxxxxxxx","usage":{"input_tokens":9,"output_tokens":0}}"#, ""),
    ] {
        let (gate, _mock) = gate(&format!("{{\"turns\":[{turn}]}}"));
        gate.post(&body(extra)).await;
        gate.book.wait(|e| *e == Entry::Whole).await;
        gate.book.wait(|e| matches!(e, Entry::Noted(n) if n.starts_with("WholeReservation"))).await;
        assert!(!gate.book.text().contains("Settled"), "{turn}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_does_not_look_complete_to_the_client() {
    let (gate, _mock) = gate(r#"{"turns":[{"text":"x","misbehave":"abort"}]}"#);
    let answer = gate.post(&body(",\"stream\":true")).await;
    assert!(answer.contains("message_start") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_the_provider_is_silent_books_the_whole_reservation() {
    let (gate, _mock) = gate(r#"{"turns":[{"text":"x","misbehave":"hang"}]}"#);
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(&kept_request("/v1/messages", &body(",\"stream\":true"))).await.unwrap();
    let mut text = String::new();
    while !text.contains("text_delta") {
        let mut buffer = [0; 512];
        let length = stream.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    // Nothing more will come, so nothing more can fail to be written.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!gate.book.text().contains("Whole"));
    drop(stream);
    gate.book.wait(|e| *e == Entry::Whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_its_call_was_sent_pays_nothing() {
    let mock = mock("{\"turns\":[]}");
    let origin = Origin::parse(&mock.origin()).unwrap();
    let config = GateConfig::new(origin, key(), PriceTable::builtin().unwrap(), Roots::none());
    let mut book = Book::with_cost(1_000_000);
    book.slow = Duration::from_millis(500);
    let gate = Served::new(config, book);
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(&kept_request("/v1/messages", &body(""))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    assert_eq!(settled(&gate.book).await, Usage::default());
    assert!(mock.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_books_open_calls_before_it_returns() {
    let (mut gate, _mock) = gate(r#"{"turns":[{"text":"x","misbehave":"hang"}]}"#);
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(&request("/v1/messages", "", &body(",\"stream\":true"))).await.unwrap();
    let mut buffer = [0; 512];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    gate.stop().await;
    assert!(gate.book.text().contains("Whole"), "{}", gate.book.text());
    assert!(TcpStream::connect(gate.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_provider_cost_nothing_and_each_retry_is_its_own_call() {
    let (gate, mock) = gate(
        r#"{"select":"order","turns":[{"status":529},{"status":429,"headers":[["retry-after","1"]]},{"text":"x"}]}"#,
    );
    assert_eq!(status(&gate.post(&body("")).await), 529);
    let limited = gate.post(&body("")).await;
    assert!(status(&limited) == 429 && limited.contains("retry-after: 1"), "{limited}");
    assert_eq!(status(&gate.post(&body("")).await), 200);
    gate.book.wait(|e| matches!(e, Entry::Settled(u) if u.cost_micro_usd > 0)).await;
    let entries = gate.book.all();
    let costs: Vec<u64> = entries
        .iter()
        .filter_map(|e| if let Entry::Settled(u) = e { Some(u.cost_micro_usd) } else { None })
        .collect();
    assert_eq!(costs, [0, 0, 1400]);
    assert_eq!(entries.iter().filter(|e| matches!(e, Entry::Admitted(_))).count(), 3);
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_is_served_and_free() {
    let (gate, mock) = gate_with("{\"turns\":[]}", 0);
    let text = r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = gate.raw(&request("/v1/messages/count_tokens", "", text)).await;
    assert!(status(&answer) == 200 && answer.contains("input_tokens"), "{answer}");
    assert_eq!(settled(&gate.book).await, Usage::default());
    assert!(mock.requests()[0].body.get("max_tokens").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_provider_costs_nothing_and_names_no_host() {
    let (gate, mock) = gate("{\"turns\":[]}");
    let origin = mock.origin();
    drop(mock);
    // The listener closes once it has taken the connection that wakes it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = gate.post(&body("")).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(!answer.contains(origin.trim_start_matches("http://")), "{answer}");
    assert_eq!(settled(&gate.book).await, Usage::default());
}
