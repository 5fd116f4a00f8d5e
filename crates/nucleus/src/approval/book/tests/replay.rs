//! A grant is good once, for one request of one task and pod under one policy, until it expires. Each test breaks one of
//! these and leaves the others whole, so that it fails when its check is gone.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use nucleus_log::{Durability, Event, Phase};
use nucleus_wire::tool::{ToolCall, WorkspaceRoot};
use serde_json::json;

use super::super::Presented;
use super::{
    Answer, ApprovalRequest, DecideError, Digest, GrantError, Operands, Past, SettledAs, Submitted,
    World, keys, policy, principal, request, submitted, world, world_of,
};
use crate::approval::before::Before;
use crate::approval::canonical::Subject;
use crate::caller::Principal;

/// A used grant: the token, and the world as its process leaves it.
fn used() -> (Presented, World) {
    let world = world();
    let id = submitted(&world.book, "a");
    world.book.decide(&id, Answer::approve("terminal")).unwrap();
    let presented = world.book.present(Digest::of(b"a"), policy()).unwrap();
    let again = Presented { id, token: presented.token.clone() };
    let consumed = world.book.consume(presented, Digest::of(b"a"), policy()).unwrap();
    // The record room writes the nonce into the intent; here the test does.
    let mut event = Event::new("tool_execution", "agent:claude@s-1");
    event.phase = Phase::Intent;
    event.request_id = Some("r1".to_owned());
    event.approval_id = Some(consumed.id.clone());
    event.grant_nonce = Some(consumed.nonce.hex());
    world.writer.append(&event, Durability::Durable).unwrap();
    (again, world)
}

fn past(world: &World) -> Past {
    world.writer.close().unwrap();
    let path = world.directory.path().join("log.jsonl");
    Past::of_log(&path, &keys().verify_keys().unwrap()).unwrap()
}

#[test]
fn across_a_restart_nonces_stay_used() {
    let (replayed, before) = used();
    let token = replayed.token.clone();
    // A later process of the same task, with the same key, is shown the old token.
    let later = world_of("task", past(&before));
    let refused = later.book.consume(replayed, Digest::of(b"a"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::Used);
    // Control: without the log's nonces the token is as good as new.
    let forgetful = world_of("task", Past::default());
    let verified =
        forgetful.book.inner.verify(&token, Digest::of(b"a"), policy(), &BTreeSet::new());
    assert!(verified.is_ok());
}

#[test]
fn across_a_restart_requests_are_over_and_refusals_stand() {
    let (_token, before) = used();
    let refused = submitted(&before.book, "b");
    before.book.decide(&refused, Answer::refuse("terminal", Some("no".to_owned()))).unwrap();
    let granted = submitted(&before.book, "c");
    before.book.decide(&granted, Answer::approve("terminal")).unwrap();
    let waiting = submitted(&before.book, "d");
    let later = world_of("task", past(&before));
    let reason = Some("no".to_owned());
    for (id, state) in [
        (&refused, SettledAs::Refused { reason: reason.clone() }),
        (&granted, SettledAs::Withdrawn),
        (&waiting, SettledAs::Withdrawn),
    ] {
        let late = later.book.decide(id, Answer::approve("socket")).unwrap_err();
        assert!(matches!(late, DecideError::Settled(ref was) if *was == state), "{late:?}");
    }
    assert_eq!(
        later.book.submit(request("b")).unwrap(),
        Submitted::Refused { id: refused, reason }
    );
    // What was granted and not used is asked again, under an id of its own.
    assert_ne!(submitted(&later.book, "c"), granted);
    assert!(later.book.present(Digest::of(b"c"), policy()).is_none());
}

#[test]
fn after_the_clock_was_set_back_a_grant_expires_all_the_same() {
    let world = world();
    let id = submitted(&world.book, "a");
    world.book.decide(&id, Answer::approve("terminal")).unwrap();
    let token = world.book.present(Digest::of(b"a"), policy()).unwrap().token;
    world.clock.0.store(300_000, Ordering::SeqCst);
    world.clock.1.store(3_600_000, Ordering::SeqCst);
    // Asked of the token alone: the request in the book has expired by monotonic time anyway.
    let verify = || world.book.inner.verify(&token, Digest::of(b"a"), policy(), &BTreeSet::new());
    assert_eq!(verify().unwrap_err(), GrantError::Expired);
    // Control: one moment earlier it is good, with the same clock.
    world.clock.0.store(299_999, Ordering::SeqCst);
    assert!(verify().is_ok());
}

#[test]
fn after_a_restart_the_clock_is_not_behind_the_log() {
    let before = world();
    submitted(&before.book, "a");
    let mut past = past(&before);
    assert!(past.latest_ms > 1_700_000_000_000, "the log's own time");
    let token = {
        let early = world_of("task", Past::default());
        let id = submitted(&early.book, "a");
        early.book.decide(&id, Answer::approve("terminal")).unwrap();
        early.book.present(Digest::of(b"a"), policy()).unwrap().token
    };
    // The log has seen the time at which the token expires; the clock says it is long before.
    past.latest_ms = super::START_MS + 300_000;
    let later = world_of("task", past);
    let verify = |world: &World| {
        world.book.inner.verify(&token, Digest::of(b"a"), policy(), &BTreeSet::new())
    };
    assert_eq!(verify(&later).unwrap_err(), GrantError::Expired);
    // Control: a process that does not know the log takes it.
    assert!(verify(&world_of("task", Past::default())).is_ok());
}

fn digest(argv: &[&str], who: &Principal, policy: Digest) -> Digest {
    let call = ToolCall::parse("run", &json!({ "argv": argv }), WorkspaceRoot("/ws")).unwrap();
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let subject = Subject {
        task: "task",
        principal: who,
        policy,
        call: &call,
        argv: Some(&argv),
        target: "",
        operation: "git_push",
        rule: "ask.gate",
        because: "",
    };
    ApprovalRequest::new(&subject, &Operands::default(), &Before::default()).unwrap().digest
}

#[test]
fn other_quoting_another_pod_or_another_policy_is_another_request() {
    let granted = digest(&["git", "log", "a b"], &principal(), policy());
    assert_eq!(digest(&["git", "log", "a b"], &principal(), policy()), granted, "control");
    let other_pod = Principal::agent("claude", "s-2").unwrap();
    for other in [
        digest(&["git", "log", "a", "b"], &principal(), policy()),
        digest(&["git", "log a b"], &principal(), policy()),
        digest(&["git", "log", "a b", ""], &principal(), policy()),
        digest(&["git", "log", "a b"], &other_pod, policy()),
        digest(&["git", "log", "a b"], &principal(), Digest::of(b"other policy")),
    ] {
        assert_ne!(other, granted);
    }
}

#[test]
fn a_log_that_was_changed_grants_nothing() {
    let (_token, before) = used();
    before.writer.close().unwrap();
    let path = before.directory.path().join("log.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"intent\"", "\"note\"")).unwrap();
    assert!(Past::of_log(&path, &keys().verify_keys().unwrap()).is_err());
}
