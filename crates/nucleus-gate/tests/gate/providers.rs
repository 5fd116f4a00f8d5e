//! Every provider by the same measure: what it is sent, what its usage costs, what its refusals look like.

use nucleus_gate::{Provider, Usage};

use crate::support::{Book, Entry, KEY, call, gate_for, request, status};

const TURN: &str = r#"{"turns":[{"text":"hello","usage":{"input_tokens":1000,"cache_read_tokens":500,"output_tokens":20}}]}"#;

async fn settled(book: &Book) -> Usage {
    match book.wait(|e| matches!(e, Entry::Settled(_) | Entry::Whole)).await {
        Entry::Settled(usage) => usage,
        other => panic!("{other:?} in {}", book.text()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_objects_cost_the_same_and_cached_input_is_only_priced() {
    for (provider, cost) in [
        // 1000 * 4 + 500 * 0.2 + 20 * 20
        (Provider::Anthropic, 4500),
        // 1000 * 5 + 500 * 0.5 + 20 * 30
        (Provider::OpenAi, 5850),
        (Provider::OpenAiChat, 5850),
        // 1000 * 0.75 + 500 * 0.075 + 20 * 3.75, rounded up
        (Provider::Gemini, 863),
    ] {
        for stream in [false, true] {
            let (gate, mock) = gate_for(provider, TURN);
            let (target, body) = call(provider, stream);
            let answer = gate.raw(&request(target, "", &body)).await;
            assert_eq!(status(&answer), 200, "{provider} {stream}: {answer}");
            assert!(answer.contains("hello"), "{answer}");
            let usage = settled(&gate.book).await;
            assert_eq!(usage.cost_micro_usd, cost, "{provider} {stream}: {usage:?}");
            assert_eq!(usage.uncached_input_tokens(), 1000, "{provider} {stream}: {usage:?}");
            assert_eq!((usage.cache_read_tokens, usage.output_tokens), (500, 20));
            assert_eq!(mock.requests()[0].key(), Some(KEY), "{provider}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_credentials_are_discarded_and_the_key_never_comes_back() {
    for provider in Provider::ALL {
        for stream in [false, true] {
            let (gate, mock) = gate_for(provider, r#"{"turns":[{"misbehave":"echo_key"}]}"#);
            let (target, body) = call(provider, stream);
            let theirs = "authorization: Bearer theirs\r\nx-api-key: theirs\r\nx-goog-api-key: theirs\r\n\
                          openai-organization: theirs\r\ncookie: theirs\r\n";
            let answer = gate.raw(&request(target, theirs, &body)).await;
            assert!(answer.contains("your key is [removed]"), "{provider} {answer}");
            assert!(!answer.contains(KEY), "{provider} {answer}");
            assert!(answer.contains("retry-after: 7"), "control: other fields pass: {answer}");
            assert!(!format!("{:?}", mock.requests()).contains("theirs"), "{provider}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_each_providers_form() {
    for (provider, extra, pointer) in [
        (Provider::Anthropic, r#","store":true"#, "/error/message"),
        (Provider::OpenAi, r#","store":true"#, "/error/message"),
        (Provider::OpenAiChat, r#","store":true"#, "/error/message"),
        (Provider::Gemini, r#","tools":[{"googleSearch":{}}]"#, "/error/message"),
    ] {
        let (gate, mock) = gate_for(provider, TURN);
        let (target, body) = call(provider, false);
        let body = format!("{}{extra}}}", body.strip_suffix('}').unwrap());
        let answer = gate.raw(&request(target, "", &body)).await;
        assert_eq!(status(&answer), 400, "{provider} {answer}");
        assert!(answer.contains("x-nucleus-rule: gate."), "{answer}");
        let json: serde_json::Value =
            serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let text = json.pointer(pointer).unwrap().as_str().unwrap();
        assert!(text.starts_with("Nucleus refused this request"), "{text}");
        assert!(mock.requests().is_empty());
        let (target, body) = call(provider, false);
        assert_eq!(status(&gate.raw(&request(target, "", &body)).await), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_models_is_the_price_tables_and_asks_nobody() {
    for (provider, target, model) in [
        (Provider::OpenAi, "/v1/models", "gpt-5.5"),
        (Provider::OpenAiChat, "/v1/models", "gpt-5.5"),
        (Provider::Gemini, "/v1beta/models", "models/gemini-3.8-flash"),
    ] {
        let (gate, mock) = gate_for(provider, TURN);
        let head = format!("GET {target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
        let answer = gate.raw(head.as_bytes()).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains(model) && !answer.contains("claude"), "{answer}");
        assert!(mock.requests().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_retry_is_a_call_of_its_own() {
    let script = r#"{"select":"order","turns":[{"status":429,"headers":[["retry-after","1"]]},{"status":500},{"text":"x"}]}"#;
    for provider in Provider::ALL {
        let (gate, mock) = gate_for(provider, script);
        let (target, body) = call(provider, true);
        for expected in [429, 500, 200] {
            let answer = gate.raw(&request(target, "", &body)).await;
            assert_eq!(status(&answer), expected, "{provider}");
            assert_eq!(answer.contains("retry-after: 1"), expected == 429, "{answer}");
        }
        gate.book.wait(|e| matches!(e, Entry::Settled(u) if u.cost_micro_usd > 0)).await;
        let entries = gate.book.all();
        let count = |what: fn(&Entry) -> bool| entries.iter().filter(|e| what(e)).count();
        assert_eq!(count(|e| matches!(e, Entry::Admitted(_))), 3, "{provider}");
        assert_eq!(count(|e| matches!(e, Entry::Settled(_))), 3, "{provider}");
        assert_eq!(mock.requests().len(), 3);
    }
}
