//! Answers of a provider that breaks its own protocol: the client is told, the whole reservation is booked, nothing grows.

use nucleus_gate::{Provider, Unbelieved};

use crate::support::{Entry, Served, call, gate_for, request, status};

/// What must become of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    /// The whole reservation for this reason, and the client sees the end of the answer.
    Whole(Unbelieved),
    /// The same, and the client can see that the answer broke off and is told why when it is a stream.
    Broken(&'static str),
    /// Believed: the larger of two reports.
    Larger,
}

async fn check(provider: Provider, stream: bool, misbehaviour: &str, want: Want) {
    let script = format!(
        r#"{{"select":"order","turns":[{{"text":"hello","misbehave":"{misbehaviour}"}},{{"text":"well"}}]}}"#
    );
    let (gate, _mock) = gate_for(provider, &script);
    let (target, body) = call(provider, stream);
    let answer = gate.raw(&request(target, "", &body)).await;
    let what = format!("{provider} stream={stream} {misbehaviour}");
    assert_eq!(status(&answer), 200, "{what}");
    match want {
        Want::Larger => {
            let entry = gate.book.wait(|e| matches!(e, Entry::Settled(_) | Entry::Whole)).await;
            let Entry::Settled(usage) = entry else { panic!("{what}: {}", gate.book.text()) };
            assert_eq!(
                usage.prompt_tokens(),
                9000 + if provider == Provider::Anthropic { 100 } else { 0 },
                "{what}"
            );
        }
        Want::Whole(why) => {
            gate.book.wait(|e| *e == Entry::Whole).await;
            let note = format!("WholeReservation({why:?})");
            gate.book.wait(|e| matches!(e, Entry::Noted(n) if *n == note)).await;
            assert!(!stream || answer.ends_with("0\r\n\r\n"), "{what}");
        }
        Want::Broken(words) => {
            gate.book.wait(|e| *e == Entry::Whole).await;
            assert!(!answer.ends_with("0\r\n\r\n"), "{what}");
            assert!(!stream || answer.contains(&format!("Nucleus: {words}")), "{what}: {answer}");
        }
    }
    still_serves(&gate, provider, &what).await;
}

/// The control: the same gate serves and books the same call when the provider behaves.
async fn still_serves(gate: &Served, provider: Provider, what: &str) {
    let before = gate.book.all().len();
    let (target, body) = call(provider, true);
    let answer = gate.raw(&request(target, "", &body)).await;
    assert!(answer.contains("well"), "{what}: {answer}");
    let settled = |e: &Entry| matches!(e, Entry::Settled(usage) if usage.output_tokens == 50);
    gate.book.wait(settled).await;
    assert!(gate.book.all().len() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_is_missing_or_lies_books_the_whole_reservation() {
    for provider in Provider::ALL {
        for stream in [false, true] {
            for (misbehaviour, why) in [
                ("no_usage", Unbelieved::Missing),
                ("negative_usage", Unbelieved::Missing),
                ("huge_usage", Unbelieved::TooLarge),
                ("malformed", Unbelieved::Missing),
            ] {
                check(provider, stream, misbehaviour, Want::Whole(why)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_shrinks_is_booked_at_its_largest() {
    // In a Responses stream usage counts only where it ends; the earlier report is not one.
    for provider in [Provider::Anthropic, Provider::OpenAiChat, Provider::Gemini] {
        check(provider, true, "decreasing_usage", Want::Larger).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_ten_megabytes_pass_and_are_not_believed() {
    for provider in Provider::ALL {
        for stream in [false, true] {
            check(provider, stream, "long_line", Want::Whole(Unbelieved::Missing)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_within_a_stream_book_the_whole_reservation() {
    for provider in Provider::ALL {
        check(provider, true, "stream_error", Want::Whole(Unbelieved::StreamError)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_off_are_told_from_complete_ones() {
    for provider in Provider::ALL {
        for stream in [false, true] {
            check(provider, stream, "abort", Want::Broken("the model provider's answer broke off"))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_endless_talk_end_in_time() {
    let mut all = tokio::task::JoinSet::new();
    for provider in Provider::ALL {
        for (stream, misbehaviour) in [(true, "hang"), (true, "endless"), (false, "hang")] {
            let want = Want::Broken("the model provider did not answer in time");
            all.spawn(async move { check(provider, stream, misbehaviour, want).await });
        }
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
}
