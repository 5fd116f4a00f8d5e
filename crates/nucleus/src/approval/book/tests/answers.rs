//! Answers that come back from a webhook.

use std::sync::atomic::Ordering;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::super::AnswerRefused;
use super::{
    ApprovalBook, DecideError, Digest, START_MS, Submitted, WEBHOOK, World, policy, submitted,
    world,
};
use crate::approval::webhook::AnswerError;

/// What an honest receiver sends back for a request, with some members changed before or after it is signed.
fn answer(book: &ApprovalBook, id: &str, decision: &str, before: Value, after: Value) -> String {
    let view = book.requests().into_iter().find(|r| r.view.id == id).unwrap().view;
    let mut document = json!({
        "version": 1, "session": "task", "id": id, "digest": view.digest, "nonce": view.nonce,
        "decision": decision, "timestamp": START_MS / 1_000,
    });
    let change = |document: &mut Value, with: Value| {
        for (name, value) in with.as_object().unwrap().clone() {
            document[name] = value;
        }
    };
    change(&mut document, before);
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let message = format!(
        "nucleus webhook answer v1\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
        text("session"),
        text("id"),
        text("digest"),
        text("nonce"),
        text("decision"),
        document["timestamp"],
        text("reason"),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK);
    document["signature"] =
        nucleus_wire::hex::encode(hmac::sign(&key, message.as_bytes()).as_ref()).into();
    change(&mut document, after);
    document.to_string()
}

fn proof(refused: Result<(String, bool), AnswerRefused>) -> AnswerError {
    match refused {
        Err(AnswerRefused::Proof(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_answer_decides_once() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    let yes = answer(&book, &id, "approve", json!({}), json!({}));
    assert_eq!(book.answer(&yes).unwrap(), (id.clone(), true));
    assert!(book.present(Digest::of(b"a"), policy()).is_some());
    let again = book.answer(&yes);
    assert!(matches!(again, Err(AnswerRefused::Decide(DecideError::Settled(_)))), "{again:?}");
    let id = submitted(&book, "b");
    let no = answer(&book, &id, "deny", json!({"reason": "not\nnow"}), json!({}));
    assert_eq!(book.answer(&no).unwrap(), (id, false));
}

#[test]
fn an_answer_that_is_not_proved_decides_nothing() {
    let World { book, clock, directory: _kept, .. } = world();
    let (id, other) = (submitted(&book, "a"), submitted(&book, "b"));
    let make = |before: Value, after: Value| answer(&book, &id, "approve", before, after);
    let none = json!({});
    for changed in [
        json!({"signature": "00".repeat(32)}),
        json!({"signature": "short"}),
        json!({"decision": "deny"}),
        json!({"id": other}),
        json!({"session": "other"}),
        json!({"nonce": "00".repeat(16)}),
        json!({"timestamp": START_MS / 1_000 + 1}),
        json!({"reason": "added"}),
    ] {
        let refused = proof(book.answer(&make(none.clone(), changed.clone())));
        assert!(matches!(refused, AnswerError::Signature), "{changed}: {refused}");
    }
    for malformed in ["", "{}", "[]", "null"] {
        assert!(matches!(proof(book.answer(malformed)), AnswerError::Malformed), "{malformed}");
    }
    let unknown = make(none.clone(), json!({"more": 1}));
    assert!(matches!(proof(book.answer(&unknown)), AnswerError::Malformed));
    // Honestly signed, for something else.
    let elsewhere = make(json!({"session": "other"}), none.clone());
    assert!(matches!(proof(book.answer(&elsewhere)), AnswerError::OtherSession));
    for other_request in [json!({"digest": "00".repeat(32)}), json!({"nonce": "00".repeat(16)})] {
        let swapped = make(other_request, none.clone());
        assert!(matches!(proof(book.answer(&swapped)), AnswerError::OtherRequest));
    }
    let in_time = make(none.clone(), none);
    clock.0.store(301_000, Ordering::SeqCst);
    assert!(matches!(proof(book.answer(&in_time)), AnswerError::Time));
    assert!(book.pending().is_empty(), "expired by now, and never granted");
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
}

#[test]
fn a_message_that_did_not_hold_all_of_it_brings_no_yes() {
    let World { book, directory: _kept, .. } = world();
    let mut long = super::request("a");
    long.rendering.text = "line\n".repeat(1_000).into();
    let Submitted::Pending { id } = book.submit(long).unwrap() else { panic!() };
    let yes = answer(&book, &id, "approve", json!({}), json!({}));
    assert!(matches!(proof(book.answer(&yes)), AnswerError::NotShown));
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    // A no needs no reading.
    let no = answer(&book, &id, "deny", json!({}), json!({}));
    assert_eq!(book.answer(&no).unwrap(), (id, false));
}
