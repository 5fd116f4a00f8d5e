use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nucleus_log::{CheckpointKey, Keys, MacMaster, Origin, Writer};
use nucleus_wire::control::{ApprovalMode, ApprovalView};

use super::{ApprovalBook, ApprovalSetup, DecideError, SettledAs, Submitted};
use crate::approval::canonical::ApprovalRequest;
use crate::approval::grant::{ApprovalKey, GrantError, Nonce};
use crate::caller::Principal;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::port::{Approver, Clock};
use crate::recorder::Recorder;

#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        1_000_000 + self.0.load(Ordering::SeqCst)
    }
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * 1_000_000
    }
    fn boot_id(&self) -> &str {
        "boot"
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Approver for Told {
    fn requested(&self, view: ApprovalView) {
        self.0.lock().unwrap().push(format!("{} requested", view.id));
    }
    fn settled(&self, id: &str, outcome: &'static str) {
        self.0.lock().unwrap().push(format!("{id} {outcome}"));
    }
}

struct World {
    book: ApprovalBook,
    clock: Arc<ManualClock>,
    told: Arc<Told>,
    directory: tempfile::TempDir,
    writer: Arc<Writer>,
}

fn keys() -> Keys {
    Keys::new(MacMaster::new([1; 32]), CheckpointKey::from_seed([2; 32]))
}

fn world_of(task: &str, used: BTreeSet<Nonce>) -> World {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let origin = Origin::parse("nucleus/test").unwrap();
    let writer = Arc::new(Writer::create(&path, &keys(), origin).unwrap());
    let recorder = Recorder::new(Arc::clone(&writer), &principal());
    let (clock, told) = (Arc::new(ManualClock::default()), Arc::new(Told::default()));
    let approver: Arc<dyn Approver> = told.clone();
    let setup = ApprovalSetup {
        mode: ApprovalMode::Terminal,
        key: ApprovalKey::from_bytes(&[7; 32]),
        approver: Some(approver),
        used,
        ttl: Duration::from_secs(300),
        wait: Duration::from_millis(40),
    };
    let book = ApprovalBook::new(setup, task, recorder, clock.clone());
    World { book, clock, told, directory, writer }
}

fn world() -> World {
    world_of("task", BTreeSet::new())
}

fn principal() -> Principal {
    Principal::agent("claude", "s-1").unwrap()
}

fn policy() -> Digest {
    Digest::of(b"policy")
}

fn request(name: &str) -> ApprovalRequest {
    ApprovalRequest {
        digest: Digest::of(name.as_bytes()),
        policy: policy(),
        principal: principal(),
        operation: "git_push",
        rule: "ask.gate",
        target: name.to_owned(),
        rendering: name.to_owned(),
    }
}

fn submitted(book: &ApprovalBook, name: &str) -> String {
    match book.submit(request(name)).unwrap() {
        Submitted::Pending { id } => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_yes_lets_one_call_through() {
    let World { book, told, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    assert!(book.present(Digest::of(b"a"), policy()).is_none(), "nobody said yes yet");
    book.decide(&id, true, None).unwrap();
    let presented = book.present(Digest::of(b"a"), policy()).unwrap();
    let again = book.present(Digest::of(b"a"), policy()).unwrap();
    let consumed = book.consume(presented, Digest::of(b"a"), policy()).unwrap();
    assert_eq!(consumed.id, id);
    assert_eq!(book.consume(again, Digest::of(b"a"), policy()).unwrap_err(), GrantError::Used);
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    assert_eq!(book.states(Some(&id))[0].state, SettledAs::Used);
    assert_eq!(*told.0.lock().unwrap(), [format!("{id} requested"), format!("{id} granted")]);
}

#[test]
fn a_grant_fits_its_own_request_and_policy_only() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    book.decide(&id, true, None).unwrap();
    assert!(book.present(Digest::of(b"b"), policy()).is_none());
    assert!(book.present(Digest::of(b"a"), Digest::of(b"other policy")).is_none());
    let presented = book.present(Digest::of(b"a"), policy()).unwrap();
    let refused = book.consume(presented, Digest::of(b"b"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::OtherRequest);
}

#[test]
fn a_grant_of_one_task_is_nothing_in_another() {
    let (here, there) = (world(), world_of("other", BTreeSet::new()));
    let id = submitted(&here.book, "a");
    here.book.decide(&id, true, None).unwrap();
    let presented = here.book.present(Digest::of(b"a"), policy()).unwrap();
    // The same key on purpose: what differs is the task alone.
    let refused = there.book.consume(presented, Digest::of(b"a"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::OtherTask);
}

#[test]
fn time_ends_requests_and_grants() {
    let World { book, clock, told, directory: _kept, .. } = world();
    let waiting = submitted(&book, "a");
    let granted = submitted(&book, "b");
    book.decide(&granted, true, None).unwrap();
    let presented = book.present(Digest::of(b"b"), policy()).unwrap();
    clock.0.store(300_000, Ordering::SeqCst);
    let refused = book.consume(presented, Digest::of(b"b"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::Expired);
    assert!(book.present(Digest::of(b"b"), policy()).is_none());
    let late = book.decide(&waiting, true, None).unwrap_err();
    assert!(matches!(late, DecideError::Settled(SettledAs::Expired)), "{late:?}");
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    let told = told.0.lock().unwrap();
    assert!(told.contains(&format!("{waiting} expired")), "{told:?}");
}

#[test]
fn the_first_decision_stands() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    book.decide(&id, false, Some("not \u{1b}[1mtoday")).unwrap();
    let late = book.decide(&id, true, None).unwrap_err();
    assert!(matches!(late, DecideError::Settled(SettledAs::Refused { .. })), "{late:?}");
    assert!(matches!(book.decide("none", true, None), Err(DecideError::Unknown)));
    let reason = Some("not \\u{1b}[1mtoday".to_owned());
    assert_eq!(
        book.submit(request("a")).unwrap(),
        Submitted::Refused { id, reason },
        "asking again does not ask the human again"
    );
}

#[test]
fn duplicates_are_one_request_and_five_may_wait() {
    let World { book, told, directory: _kept, .. } = world();
    let first = submitted(&book, "a");
    assert_eq!(submitted(&book, "a"), first);
    for name in ["b", "c", "d", "e"] {
        submitted(&book, name);
    }
    assert_eq!(book.submit(request("f")).unwrap(), Submitted::Full);
    assert_eq!(submitted(&book, "a"), first, "a duplicate is no further request");
    assert_eq!(book.pending().len(), 5);
    assert_eq!(told.0.lock().unwrap().len(), 5);
    book.decide(&first, true, None).unwrap();
    submitted(&book, "f");
}

#[test]
fn a_waiting_call_sees_the_answer_or_the_limit() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    assert_eq!(book.wait(&id, &Cancel::new()), SettledAs::Pending, "the limit");
    let decider = book.clone();
    let wanted = id.clone();
    let human = thread::spawn(move || decider.decide(&wanted, true, None).unwrap());
    let mut seen = book.wait(&id, &Cancel::new());
    for _ in 0..100 {
        if seen == SettledAs::Granted {
            break;
        }
        seen = book.wait(&id, &Cancel::new());
    }
    human.join().unwrap();
    assert_eq!(seen, SettledAs::Granted);
}

#[test]
fn a_cancelled_call_takes_its_request_back() {
    let World { book, told, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(book.wait(&id, &cancel), SettledAs::Withdrawn);
    assert!(matches!(
        book.decide(&id, true, None),
        Err(DecideError::Settled(SettledAs::Withdrawn))
    ));
    assert!(told.0.lock().unwrap().contains(&format!("{id} withdrawn")));
}

#[test]
fn a_decision_that_cannot_be_recorded_does_not_hold() {
    let World { book, writer, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    writer.close().unwrap();
    assert!(matches!(book.decide(&id, true, None), Err(DecideError::Unexpected(_))));
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    assert!(book.submit(request("b")).is_err(), "and nobody is asked what cannot be recorded");
}

#[test]
fn nonces_of_the_log_stay_used() {
    let World { book, directory, writer, .. } = world();
    let id = submitted(&book, "a");
    book.decide(&id, true, None).unwrap();
    let presented = book.present(Digest::of(b"a"), policy()).unwrap();
    let token = presented.token.clone();
    let consumed = book.consume(presented, Digest::of(b"a"), policy()).unwrap();
    // The record room writes the nonce into the intent; here the test does.
    let mut event = nucleus_log::Event::new("tool_execution", "agent:claude@s-1");
    event.phase = nucleus_log::Phase::Intent;
    event.request_id = Some("r1".to_owned());
    event.grant_nonce = Some(consumed.nonce.hex());
    writer.append(&event, nucleus_log::Durability::Durable).unwrap();
    writer.close().unwrap();

    let path = directory.path().join("log.jsonl");
    let nonces = nucleus_log::used_nonces(&path, &keys().verify_keys().unwrap()).unwrap();
    let used: BTreeSet<Nonce> = nonces.iter().filter_map(|text| Nonce::parse(text)).collect();
    assert_eq!(used, BTreeSet::from([consumed.nonce]));
    // A later process of the same task, with the same key, is shown the old token.
    let later = world_of("task", used);
    let replayed = super::Presented { id, token: token.clone() };
    let refused = later.book.consume(replayed, Digest::of(b"a"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::Used);
    // Control: without the log's nonces only the book's own memory would be left to refuse it.
    let forgetful = world_of("task", BTreeSet::new());
    assert!(
        forgetful.book.inner.verify(&token, Digest::of(b"a"), policy(), &BTreeSet::new()).is_ok()
    );
}
